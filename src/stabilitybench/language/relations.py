"""How two meanings relate: the same, weaker, contrary, with roles exchanged, changed, or what comes next."""

from __future__ import annotations

from dataclasses import replace

from stabilitybench.language.grammar import Clause, Meaning, Phrase, Token, Voice, realise, sentiment
from stabilitybench.language.lexicon import NOUNS, QUALITIES, VERBS
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import (
    sample_adverb,
    sample_noun,
    sample_place,
    sample_quality,
    sample_state,
)


def paraphrase(meaning: Meaning, said: list[Token], dice: Dice, voice: Voice | None = None) -> list[Token]:
    """Say a meaning again in other words.

    Every sentence of the language has a synonym to exchange, so that another surface always exists.

    Parameters
    ----------
    meaning : Meaning
        What was said.
    said : list of Token
        The words it was said in.
    dice : Dice
        Source of the surface choices.
    voice : {"active", "passive"}, optional
        Voice of events; drawn for each where it is left out.

    Returns
    -------
    list of Token
        Another sentence of the same meaning.
    """
    while True:
        again = realise(meaning, dice, voice)
        if again != said:
            return again


def weaken(meaning: Meaning, dice: Dice) -> Meaning | None:
    """Return something that follows from `meaning` and is not the same, or None where nothing does.

    Of two clauses one may be dropped.  In a clause that is not denied, a quality, the place or the adverb may be
    dropped and a noun replaced by the name of its kind; under "not" none of this would follow.

    Parameters
    ----------
    meaning : Meaning
        What is known.
    dice : Dice
        Source of the random choices.

    Returns
    -------
    Meaning or None
        What follows from it (see `entails`).
    """
    steps = [
        (i, weaker) for i, clause in enumerate(meaning.clauses) if not clause.negated for weaker in _weaker(clause)
    ]
    if len(meaning.clauses) == 2 and (not steps or dice.chance(0.4)):
        return Meaning((dice.pick(meaning.clauses),))
    if not steps:
        return None
    i, clause = dice.pick(steps)
    if dice.chance(0.5):
        clause = dice.pick(_weaker(clause) or [clause])
    return _with(meaning, i, clause)


def contradict(meaning: Meaning, dice: Dice) -> Meaning:
    """Return something that cannot be true beside `meaning`: a clause denied, or its quality turned round.

    Parameters
    ----------
    meaning : Meaning
        What is known.
    dice : Dice
        Picks the clause, and the way where a quality can be turned round.

    Returns
    -------
    Meaning
        The same but for one clause.
    """
    i = dice.below(len(meaning.clauses))
    clause = meaning.clauses[i]
    if clause.quality is not None and not clause.negated and dice.chance(0.5):
        return _with(meaning, i, replace(clause, quality=QUALITIES[clause.quality].opposite))
    return _with(meaning, i, replace(clause, negated=not clause.negated))


def swap_roles(meaning: Meaning) -> Meaning | None:
    """Let patient and agent of the first event change places, or return None where the verb does not allow it.

    Parameters
    ----------
    meaning : Meaning
        One or two clauses; states are left as they are.

    Returns
    -------
    Meaning or None
        The same with one event turned round.
    """
    for i, clause in enumerate(meaning.clauses):
        if clause.verb is None or clause.patient is None:
            continue
        verb, agent, patient = VERBS[clause.verb], clause.agent, clause.patient
        if NOUNS[patient.noun].kind in verb.agents and NOUNS[agent.noun].kind in verb.patients:
            return _with(meaning, i, replace(clause, agent=patient, patient=agent))
    return None


def change(meaning: Meaning, dice: Dice) -> Meaning:
    """Exchange one content word (agent, verb, patient, stated quality) for one of another meaning.

    The polarity of the clause is kept, so that its words still fit together.

    Parameters
    ----------
    meaning : Meaning
        What is changed.
    dice : Dice
        Picks the clause, the place in it and the new word.

    Returns
    -------
    Meaning
        The same but for one word; never `meaning` itself.
    """
    i = dice.below(len(meaning.clauses))
    clause = meaning.clauses[i]
    while True:
        changed = _changed(clause, dice)
        if changed is not None and changed != clause:
            return _with(meaning, i, changed)


def strengthen(meaning: Meaning, dice: Dice) -> Meaning:
    """Add something that `meaning` leaves open: a quality, a place or an adverb.

    Where nothing is left open, `meaning` itself is returned.

    Parameters
    ----------
    meaning : Meaning
        What is known.
    dice : Dice
        Picks the clause and what is added to it.

    Returns
    -------
    Meaning
        Something from which `meaning` follows, unless a clause is denied.
    """
    i = dice.below(len(meaning.clauses))
    clause = meaning.clauses[i]
    tone = sentiment(clause)
    options: list[Clause] = []
    if clause.verb is not None and clause.agent.quality is None:
        quality = sample_quality(dice, NOUNS[clause.agent.noun].kind, tone)
        options.append(replace(clause, agent=replace(clause.agent, quality=quality)))
    if clause.patient is not None and clause.patient.quality is None:
        quality = sample_quality(dice, NOUNS[clause.patient.noun].kind, tone)
        options.append(replace(clause, patient=replace(clause.patient, quality=quality)))
    if clause.place is None:
        options.append(replace(clause, place=sample_place(dice)))
    if clause.adverb is None:
        options.append(replace(clause, adverb=sample_adverb(dice)))
    return _with(meaning, i, dice.pick(options)) if options else meaning


def follow_up(meaning: Meaning, dice: Dice) -> Meaning:
    """Return a next sentence: a state of someone in the last clause of a meaning, in the tone of that clause.

    Parameters
    ----------
    meaning : Meaning
        The sentence before.
    dice : Dice
        Picks of whom it speaks, and what it says.

    Returns
    -------
    Meaning
        One clause.
    """
    return _follow_up(meaning.clauses[-1], sentiment(meaning.clauses[-1]), dice)


def contrary_follow_up(meaning: Meaning, dice: Dice) -> Meaning | None:
    """Return a follow-up in the opposite tone, or None after a neutral clause, which has no opposite.

    Parameters
    ----------
    meaning : Meaning
        The sentence before.
    dice : Dice
        Picks of whom it speaks, and what it says.

    Returns
    -------
    Meaning or None
        One clause.
    """
    tone = sentiment(meaning.clauses[-1])
    return _follow_up(meaning.clauses[-1], -tone, dice) if tone else None


def _follow_up(clause: Clause, tone: int, dice: Dice) -> Meaning:
    about = clause.agent if clause.patient is None or dice.chance(0.6) else clause.patient
    return Meaning((sample_state(dice, tone, Phrase(about.noun, about.plural, True)),))


def similarity(a: Meaning, b: Meaning) -> float:
    """Return how alike two meanings are, in [0, 5]: 5 for the same meaning, symmetric.

    Per clause: verb or stated quality 2 points, agent 1.25, patient 1.25, and 0.5 shared by place and adverb; a noun
    of the same kind counts for 0.4 of the same noun, a missing or another quality takes 0.3 of its phrase, and a
    denied clause against an affirmed one loses 2 points.  Two clauses are compared in order and averaged; a clause
    without a counterpart scores 0.

    Parameters
    ----------
    a : Meaning
        One meaning.
    b : Meaning
        The other.

    Returns
    -------
    float
        Points in [0, 5].

    Examples
    --------
    >>> dog = Meaning((Clause(Phrase("dog"), quality="kind"),))
    >>> cat = Meaning((Clause(Phrase("cat"), quality="kind"),))
    >>> similarity(dog, dog), round(similarity(dog, cat), 2)
    (5.0, 3.5)
    """
    longer = max(len(a.clauses), len(b.clauses))
    pairs = zip(a.clauses, b.clauses, strict=False)
    return sum(_alike(x, y) for x, y in pairs) / longer


def entails(premise: Meaning, claim: Meaning) -> bool:
    """Return whether `claim` must hold where `premise` does: each of its clauses follows from one of the premise.

    A denied clause entails only itself.  An affirmed one entails what is said with more general nouns and with fewer
    qualities, places and adverbs.

    Parameters
    ----------
    premise : Meaning
        What is known.
    claim : Meaning
        What may follow from it.

    Returns
    -------
    bool
        Whether it follows.

    Examples
    --------
    >>> big = Meaning((Clause(Phrase("dog", quality="big"), quality="kind"),))
    >>> any_ = Meaning((Clause(Phrase("animal"), quality="kind"),))
    >>> entails(big, any_), entails(any_, big)
    (True, False)
    """
    return all(any(_clause_entails(a, b) for a in premise.clauses) for b in claim.clauses)


def _clause_entails(a: Clause, b: Clause) -> bool:
    if a.negated or b.negated:
        return a == b
    if (a.verb, a.quality) != (b.verb, b.quality) or not _phrase_entails(a.agent, b.agent):
        return False
    if a.patient is not None and (b.patient is None or not _phrase_entails(a.patient, b.patient)):
        return False
    return b.place in (None, a.place) and b.adverb in (None, a.adverb)


def _phrase_entails(a: Phrase, b: Phrase) -> bool:
    same = (a.plural, a.definite) == (b.plural, b.definite) and b.quality in (None, a.quality)
    return same and b.noun in (a.noun, NOUNS[a.noun].kind)


def _alike(a: Clause, b: Clause) -> float:
    if (a.verb is None) != (b.verb is None):
        return 0.5 * _phrases_alike(a.agent, b.agent)
    if a.verb is None:
        score = 2.5 * _phrases_alike(a.agent, b.agent) + 2.0 * (a.quality == b.quality)
    else:
        assert a.patient is not None
        assert b.patient is not None
        score = 1.25 * (_phrases_alike(a.agent, b.agent) + _phrases_alike(a.patient, b.patient))
        score += 2.0 * (a.verb == b.verb)
    score += 0.25 * (a.place == b.place) + 0.25 * (a.adverb == b.adverb)
    return max(score - 2.0 * (a.negated != b.negated), 0.0)


def _phrases_alike(a: Phrase, b: Phrase) -> float:
    related = NOUNS[a.noun].kind == NOUNS[b.noun].kind
    noun = 1.0 if a.noun == b.noun else 0.4 * related
    return noun * (1.0 if a.quality == b.quality else 0.7)


def _with(meaning: Meaning, i: int, clause: Clause) -> Meaning:
    """Return `meaning` with its i-th clause exchanged; "and" and "but" follow the sentiments."""
    clauses = list(meaning.clauses)
    clauses[i] = clause
    tones = [sentiment(each) for each in clauses]
    return Meaning(tuple(clauses), len(tones) == 2 and tones[0] * tones[1] < 0)


def _weaker(clause: Clause) -> list[Clause]:
    """Return everything one step weaker than an affirmed clause."""
    options = []
    if clause.agent.quality is not None:
        options.append(replace(clause, agent=replace(clause.agent, quality=None)))
    if not NOUNS[clause.agent.noun].general:
        options.append(replace(clause, agent=_general(clause.agent)))
    if clause.patient is not None:
        if clause.patient.quality is not None:
            options.append(replace(clause, patient=replace(clause.patient, quality=None)))
        if not NOUNS[clause.patient.noun].general:
            options.append(replace(clause, patient=_general(clause.patient)))
    if clause.place is not None:
        options.append(replace(clause, place=None))
    if clause.adverb is not None:
        options.append(replace(clause, adverb=None))
    return options


def _general(phrase: Phrase) -> Phrase:
    return replace(phrase, noun=NOUNS[phrase.noun].kind)


def _changed(clause: Clause, dice: Dice) -> Clause | None:
    slot = dice.below(2 if clause.verb is None else 3)
    if slot == 0:
        other = sample_noun(dice, NOUNS[clause.agent.noun].kind)
        if clause.patient is not None and other == clause.patient.noun:
            return None
        return replace(clause, agent=replace(clause.agent, noun=other))
    if slot == 1 and clause.verb is None:
        assert clause.quality is not None
        kind, old = NOUNS[clause.agent.noun].kind, QUALITIES[clause.quality]
        return replace(clause, quality=sample_quality(dice, kind, old.polarity))
    assert clause.verb is not None
    assert clause.patient is not None
    if slot == 1:
        kinds = NOUNS[clause.agent.noun].kind, NOUNS[clause.patient.noun].kind
        verb = dice.pick(_ALL_VERBS)
        fits = kinds[0] in verb.agents and kinds[1] in verb.patients and verb.polarity == VERBS[clause.verb].polarity
        return replace(clause, verb=verb.name) if fits else None
    other = sample_noun(dice, NOUNS[clause.patient.noun].kind)
    return None if other == clause.agent.noun else replace(clause, patient=replace(clause.patient, noun=other))


_ALL_VERBS = tuple(VERBS.values())
