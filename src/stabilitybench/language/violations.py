"""Break one rule of the grammar: every violation turns a sentence into one that the grammar cannot produce."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from stabilitybench.language.grammar import Token
from stabilitybench.language.lexicon import VERBS
from stabilitybench.language.sampler import Dice

_COPULA = ("is", "are")
#: The same word in the other number.
_OTHER_NUMBER = {"is": "are", "are": "is", "does": "do", "do": "does"}
_OTHER_NUMBER |= {
    "this": "these",
    "these": "this",
    "a": "some",
    "an": "some",
    "one": "several",
    "several": "one",
}
_OTHER_FORM: dict[str, str] = {}
for _verb in VERBS.values():
    for _third, _base, _participle in zip(_verb.third, _verb.base, _verb.participle, strict=True):
        _OTHER_NUMBER[_third], _OTHER_NUMBER[_base] = _base, _third
        _OTHER_FORM[_base] = _OTHER_FORM[_participle] = _third
        _OTHER_FORM[_third] = _base
#: Neighbours that never stand the other way round.
_FIXED_ORDER = {
    ("determiner", "noun"),
    ("determiner", "adjective"),
    ("adjective", "noun"),
    ("verb", "determiner"),
    ("preposition", "determiner"),
    ("auxiliary", "not"),
    ("by", "determiner"),
}
_NEEDED = {"verb", "by", "preposition"}

Violation = Callable[[list[Token], Dice], list[Token] | None]


def _agreement(tokens: list[Token], dice: Dice) -> list[Token] | None:
    """Give a finite verb the number that its subject does not have: "the dogs sees a cat"."""
    places = [i for i, t in enumerate(tokens) if t.role in ("verb", "auxiliary") and t.plural is not None]
    i = dice.pick(places)
    return _replace(tokens, i, _OTHER_NUMBER[tokens[i].word])


def _determiner(tokens: list[Token], dice: Dice) -> list[Token] | None:
    """Give a noun a determiner of the other number: "these dog"; None where every determiner is "the"."""
    places = [i for i, t in enumerate(tokens) if t.role == "determiner" and t.plural is not None]
    if not places:
        return None
    i = dice.pick(places)
    word = _OTHER_NUMBER.get(tokens[i].word)
    if word is None:  # "some"
        word = "an" if tokens[i + 1].word[0] in "aeiou" else "a"
    return _replace(tokens, i, word)


def _form(tokens: list[Token], dice: Dice) -> list[Token] | None:
    """Use a verb form that cannot stand there: "does not sees", "is sees by", "the dog is see the cat"."""
    places = [i for i, t in enumerate(tokens) if t.role == "verb"]
    if not places:
        return None
    i = dice.pick(places)
    token = tokens[i]
    if token.plural is None:  # after "do not", or a participle
        return _replace(tokens, i, _OTHER_FORM[token.word])
    return [*tokens[:i], Token("are" if token.plural else "is", "auxiliary"), *tokens[i:]]


def _order(tokens: list[Token], dice: Dice) -> list[Token] | None:
    """Exchange two neighbours: "dog the sees a cat", "the dog small sees a cat"."""
    places = [i for i in range(len(tokens) - 1) if (tokens[i].role, tokens[i + 1].role) in _FIXED_ORDER]
    i = dice.pick(places)
    return [*tokens[:i], tokens[i + 1], tokens[i], *tokens[i + 2 :]]


def _omission(tokens: list[Token], dice: Dice) -> list[Token] | None:
    """Leave out a word that is needed: a verb, the copula, "by", a preposition, a singular determiner."""
    places = [
        i
        for i, t in enumerate(tokens)
        if t.role in _NEEDED or t.word in _COPULA or (t.role == "determiner" and _noun(tokens, i).plural is False)
    ]
    i = dice.pick(places)
    return [*tokens[:i], *tokens[i + 1 :]]


#: Every way to break a sentence, by name.
VIOLATIONS: MappingProxyType[str, Violation] = MappingProxyType(
    {
        "agreement": _agreement,
        "determiner": _determiner,
        "form": _form,
        "order": _order,
        "omission": _omission,
    }
)


def violate(tokens: list[Token], dice: Dice, kinds: tuple[str, ...] = tuple(VIOLATIONS)) -> list[Token]:
    """Break a sentence in one way that applies to it.

    Parameters
    ----------
    tokens : list of Token
        A sentence that the grammar allows.
    dice : Dice
        Picks the way and the place.
    kinds : tuple of str, optional
        Names of `VIOLATIONS` to draw from, all by default; a name may be repeated to weigh it.

    Returns
    -------
    list of Token
        A sentence that the grammar cannot produce.

    Examples
    --------
    >>> import numpy as np
    >>> from stabilitybench.language.grammar import Clause, Meaning, Phrase, realise, text
    >>> dice = Dice(np.random.default_rng(0))
    >>> tokens = realise(Meaning((Clause(Phrase("dog"), "see", Phrase("cat")),)), dice, "active")
    >>> text(tokens), text(violate(tokens, dice, ("agreement",)))
    ('this dog sees the feline', 'this dog see the feline')
    """
    while True:
        broken = VIOLATIONS[dice.pick(kinds)](tokens, dice)
        if broken is not None:
            return broken


def _replace(tokens: list[Token], i: int, word: str) -> list[Token]:
    return [*tokens[:i], tokens[i]._replace(word=word), *tokens[i + 1 :]]


def _noun(tokens: list[Token], i: int) -> Token:
    """Return the noun that the determiner at `i` belongs to."""
    return next(t for t in tokens[i:] if t.role == "noun")
