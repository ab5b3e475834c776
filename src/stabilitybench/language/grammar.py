"""Meanings, and the sentences that say them.

A `Meaning` is data: who does what to whom, where, how often, said of whom, denied or not.  `realise` turns it into
words and makes the surface choices that carry no meaning: which synonym, active or passive, the place first or
last.  The grammar, with optional parts in brackets:

    sentence  -> clause [and clause | but clause]
    clause    -> [place] statement | statement [place]
    statement -> phrase [adverb] VERB phrase                         the dog often sees a small cat
               | phrase do|does not [adverb] VERB phrase             the dogs do not see the cat
               | phrase is|are [not] [adverb] PARTICIPLE by phrase   a cat is often seen by the dog
               | phrase is|are [not] [adverb] ADJECTIVE              the dog is not kind
    phrase    -> DETERMINER [ADJECTIVE] NOUN                         these kind dogs
    place     -> PREPOSITION the PLACE                               near the river

Determiners and verbs agree in number with their noun; "and" joins clauses of the same sentiment, "but" of opposite
ones.  "a" is "an" before a vowel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from stabilitybench.language.lexicon import (
    ADVERBS,
    DETERMINERS,
    NOUNS,
    PLACES,
    QUALITIES,
    RELATIONS,
    VERBS,
)
from stabilitybench.language.sampler import Dice

Role = Literal["determiner", "adjective", "noun", "verb", "auxiliary", "not", "adverb", "by", "preposition", "joint"]
Voice = Literal["active", "passive"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase.

    Attributes
    ----------
    noun : str
        Noun concept, a key of `lexicon.NOUNS`.
    plural : bool, default False
        Whether its noun is in the plural.
    definite : bool, default True
        Whether it is known ("the", "this") or not ("a", "some").
    quality : str or None, default None
        Quality concept, a key of `lexicon.QUALITIES`.
    """

    noun: str
    plural: bool = False
    definite: bool = True
    quality: str | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """One statement: an event (`verb` and `patient`) or a state (`quality`), about `agent`.

    Attributes
    ----------
    agent : Phrase
        Who acts, or is described.
    verb : str or None, default None
        Verb concept of an event; None in a state.
    patient : Phrase or None, default None
        To whom an event is done; None in a state.
    quality : str or None, default None
        Quality concept that a state says of the agent; None in an event.
    negated : bool, default False
        Whether the statement is denied.
    place : tuple of (str, str) or None, default None
        The concepts of a relation and a place, such as ("near", "river").
    adverb : str or None, default None
        Adverb concept.
    """

    agent: Phrase
    verb: str | None = None
    patient: Phrase | None = None
    quality: str | None = None
    negated: bool = False
    place: tuple[str, str] | None = None
    adverb: str | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """One clause, or two that are joined.

    Attributes
    ----------
    clauses : tuple of Clause, length 1 or 2
        What is said, in order.
    contrast : bool, default False
        Whether two clauses are joined by "but" instead of "and".
    """

    clauses: tuple[Clause, ...]
    contrast: bool = False


class Token(NamedTuple):
    """A word in its sentence.

    Attributes
    ----------
    word : str
        The word as it is written.
    role : Role
        What it does in the sentence.
    plural : bool or None, default None
        The number it shows; None where it shows none.
    """

    word: str
    role: Role
    plural: bool | None = None


def sentiment(clause: Clause) -> int:
    """Return the polarity of the verb or stated quality, turned by "not".

    Parameters
    ----------
    clause : Clause
        An event or a state.

    Returns
    -------
    int
        +1 (good), -1 (bad) or 0 (neither).

    Examples
    --------
    >>> sentiment(Clause(Phrase("dog"), quality="cruel", negated=True))
    1
    """
    if clause.verb is not None:
        polarity = VERBS[clause.verb].polarity
    else:
        assert clause.quality is not None
        polarity = QUALITIES[clause.quality].polarity
    return -polarity if clause.negated else polarity


def realise(meaning: Meaning, dice: Dice, voice: Voice | None = None) -> list[Token]:
    """Say a meaning in words.

    Parameters
    ----------
    meaning : Meaning
        What is to be said.
    dice : Dice
        Source of the surface choices: synonyms, order, and the voice where it is open.
    voice : {"active", "passive"}, optional
        Voice of events; drawn for each where it is left out.

    Returns
    -------
    list of Token
        The sentence, a word each.

    Examples
    --------
    >>> import numpy as np
    >>> meaning = Meaning((Clause(Phrase("dog", plural=True), "see", Phrase("cat", definite=False)),))
    >>> text(realise(meaning, Dice(np.random.default_rng(2)), voice="passive"))
    'a cat is noticed by the hounds'
    """
    tokens: list[Token] = []
    for i, clause in enumerate(meaning.clauses):
        if i:
            tokens.append(Token("but" if meaning.contrast else "and", "joint"))
        _clause(clause, dice, voice, tokens)
    for i, token in enumerate(tokens):
        if token.word == "a" and tokens[i + 1].word[0] in "aeiou":
            tokens[i] = token._replace(word="an")
    return tokens


def text(tokens: list[Token]) -> str:
    """Return the words of a sentence, separated by spaces.

    Parameters
    ----------
    tokens : list of Token
        A sentence, as `realise` gives it.
    """
    return " ".join([token.word for token in tokens])


def _clause(clause: Clause, dice: Dice, voice: Voice | None, out: list[Token]) -> None:
    front = clause.place is not None and dice.chance(0.4)
    if front:
        _place(clause, dice, out)
    if clause.verb is None:
        _state(clause, dice, out)
    else:
        passive = dice.chance(0.35) if voice is None else voice == "passive"
        (_passive if passive else _active)(clause, dice, out)
    if not front and clause.place is not None:
        _place(clause, dice, out)


def _state(clause: Clause, dice: Dice, out: list[Token]) -> None:
    _phrase(clause.agent, dice, out)
    _copula(clause, clause.agent.plural, dice, out)
    assert clause.quality is not None
    out.append(Token(dice.pick(QUALITIES[clause.quality].words), "adjective"))


def _active(clause: Clause, dice: Dice, out: list[Token]) -> None:
    assert clause.verb is not None
    assert clause.patient is not None
    verb, plural = VERBS[clause.verb], clause.agent.plural
    _phrase(clause.agent, dice, out)
    if clause.negated:
        out.append(Token("do" if plural else "does", "auxiliary", plural))
        out.append(Token("not", "not"))
    _adverb(clause, dice, out)
    bare = clause.negated or plural
    out.append(Token(dice.pick(verb.base if bare else verb.third), "verb", None if clause.negated else plural))
    _phrase(clause.patient, dice, out)


def _passive(clause: Clause, dice: Dice, out: list[Token]) -> None:
    assert clause.verb is not None
    assert clause.patient is not None
    _phrase(clause.patient, dice, out)
    _copula(clause, clause.patient.plural, dice, out)
    out.append(Token(dice.pick(VERBS[clause.verb].participle), "verb"))
    out.append(Token("by", "by"))
    _phrase(clause.agent, dice, out)


def _copula(clause: Clause, plural: bool, dice: Dice, out: list[Token]) -> None:
    out.append(Token("are" if plural else "is", "auxiliary", plural))
    if clause.negated:
        out.append(Token("not", "not"))
    _adverb(clause, dice, out)


def _phrase(phrase: Phrase, dice: Dice, out: list[Token]) -> None:
    noun, plural = NOUNS[phrase.noun], phrase.plural
    determiner = dice.pick(DETERMINERS[plural, phrase.definite])
    out.append(Token(determiner, "determiner", None if determiner == "the" else plural))
    if phrase.quality is not None:
        out.append(Token(dice.pick(QUALITIES[phrase.quality].words), "adjective"))
    out.append(Token(dice.pick(noun.plural if plural else noun.singular), "noun", plural))


def _adverb(clause: Clause, dice: Dice, out: list[Token]) -> None:
    if clause.adverb is not None:
        out.append(Token(dice.pick(ADVERBS[clause.adverb]), "adverb"))


def _place(clause: Clause, dice: Dice, out: list[Token]) -> None:
    assert clause.place is not None
    relation, place = clause.place
    out.append(Token(dice.pick(RELATIONS[relation]), "preposition"))
    out.append(Token("the", "determiner"))
    out.append(Token(dice.pick(PLACES[place]), "noun", False))
