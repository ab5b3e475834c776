"""Draw meanings: who can do what is respected, and the polar words of a clause agree with its sentiment."""

from __future__ import annotations

from stabilitybench.language.grammar import Clause, Meaning, Phrase, sentiment
from stabilitybench.language.lexicon import ADVERBS, KINDS, NOUNS, PLACES, QUALITIES, RELATIONS, VERBS
from stabilitybench.language.sampler import Dice

#: Chances of the optional parts of a clause, where a caller does not say otherwise.
TWO_CLAUSES, EVENT, NEGATED, PLURAL, DEFINITE = 0.2, 0.65, 0.25, 0.4, 0.6
MODIFIED, PLACED, WITH_ADVERB, GENERAL = 0.35, 0.25, 0.2, 0.08

_VERBS_BY_POLARITY = {p: tuple(v for v in VERBS.values() if v.polarity == p) for p in (-1, 0, 1)}
_NOUNS_BY_KIND = {kind: tuple(n.name for n in NOUNS.values() if n.kind == kind and not n.general) for kind in KINDS}
_QUALITIES_BY = {
    (kind, p): tuple(q.name for q in QUALITIES.values() if kind in q.kinds and q.polarity == p)
    for kind in KINDS
    for p in (-1, 0, 1)
}
_PLACE_NAMES, _RELATION_NAMES, _ADVERB_NAMES = tuple(PLACES), tuple(RELATIONS), tuple(ADVERBS)


def _phrase(dice: Dice, kinds: tuple[str, ...], tone: int = 0) -> Phrase:
    """Draw a noun phrase of one of `kinds`; its quality, if any, is neutral or of polarity `tone`."""
    kind = dice.pick(kinds)
    noun = kind if dice.chance(GENERAL) else sample_noun(dice, kind)
    quality = sample_quality(dice, kind, tone if dice.chance(0.6) else 0) if dice.chance(MODIFIED) else None
    return Phrase(noun, dice.chance(PLURAL), dice.chance(DEFINITE), quality)


def sample_noun(dice: Dice, kind: str) -> str:
    """Draw a noun concept of a kind, never the name of the kind itself.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.
    kind : str
        One of `lexicon.KINDS`.

    Returns
    -------
    str
        A key of `lexicon.NOUNS`.
    """
    return dice.pick(_NOUNS_BY_KIND[kind])


def sample_quality(dice: Dice, kind: str, tone: int) -> str:
    """Draw a quality concept of a polarity that can be said of a kind.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.
    kind : str
        One of `lexicon.KINDS`.
    tone : {-1, 0, 1}
        The polarity.

    Returns
    -------
    str
        A key of `lexicon.QUALITIES`.
    """
    return dice.pick(_QUALITIES_BY[kind, tone])


def sample_place(dice: Dice) -> tuple[str, str]:
    """Draw a relation and a place.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.

    Returns
    -------
    tuple of (str, str)
        Keys of `lexicon.RELATIONS` and `lexicon.PLACES`.
    """
    return dice.pick(_RELATION_NAMES), dice.pick(_PLACE_NAMES)


def sample_adverb(dice: Dice) -> str:
    """Draw an adverb concept.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.

    Returns
    -------
    str
        A key of `lexicon.ADVERBS`.
    """
    return dice.pick(_ADVERB_NAMES)


def _event(dice: Dice, tone: int) -> Clause:
    """Draw an event of sentiment `tone` (-1, 0, 1); agent and patient are different concepts."""
    negated = dice.chance(NEGATED)
    verb = dice.pick(_VERBS_BY_POLARITY[-tone if negated else tone])
    agent = _phrase(dice, verb.agents, tone)
    patient = _phrase(dice, verb.patients, tone)
    while patient.noun == agent.noun:
        patient = _phrase(dice, verb.patients, tone)
    return _dress(Clause(agent, verb.name, patient, None, negated), dice)


def sample_state(dice: Dice, tone: int, agent: Phrase | None = None) -> Clause:
    """Draw a state of a sentiment.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.
    tone : {-1, 0, 1}
        The sentiment of the clause.
    agent : Phrase, optional
        Who is described, a quality of its own left out; drawn where it is not given.

    Returns
    -------
    Clause
        A clause with a quality and without a verb.
    """
    negated = dice.chance(NEGATED)
    if agent is None:
        agent = _phrase(dice, KINDS)
    agent = Phrase(agent.noun, agent.plural, agent.definite)
    quality = sample_quality(dice, NOUNS[agent.noun].kind, -tone if negated else tone)
    return _dress(Clause(agent, None, None, quality, negated), dice)


def sample_clause(dice: Dice, tone: int | None = None) -> Clause:
    """Draw an event or a state of a sentiment.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.
    tone : {-1, 0, 1}, optional
        The sentiment of the clause, as `grammar.sentiment` gives it; drawn where it is left out.

    Returns
    -------
    Clause
        An event with chance `EVENT`, else a state.
    """
    if tone is None:
        tone = dice.pick((-1, 0, 1))
    return (_event if dice.chance(EVENT) else sample_state)(dice, tone)


def sample_meaning(dice: Dice, two_clauses: float = TWO_CLAUSES) -> Meaning:
    """Draw a meaning of one clause or two.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.
    two_clauses : float, default 0.2
        Chance of a second clause, in [0, 1].

    Returns
    -------
    Meaning
        Clauses of one sentiment, or of opposite ones and then a contrast.
    """
    first = sample_clause(dice)
    if not dice.chance(two_clauses):
        return Meaning((first,))
    return join(first, dice, contrast=sentiment(first) != 0 and dice.chance(0.5))


def join(first: Clause, dice: Dice, contrast: bool) -> Meaning:
    """Add a clause to another one.

    Parameters
    ----------
    first : Clause
        What is said already.
    dice : Dice
        Source of the random choices.
    contrast : bool
        Whether the new clause has the opposite sentiment, instead of the same.

    Returns
    -------
    Meaning
        Both clauses, in order.
    """
    tone = sentiment(first)
    return Meaning((first, sample_clause(dice, -tone if contrast else tone)), contrast)


def _dress(clause: Clause, dice: Dice) -> Clause:
    place = sample_place(dice) if dice.chance(PLACED) else None
    adverb = sample_adverb(dice) if dice.chance(WITH_ADVERB) else None
    if place is None and adverb is None:
        return clause
    return Clause(clause.agent, clause.verb, clause.patient, clause.quality, clause.negated, place, adverb)
