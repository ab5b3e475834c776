"""Pretraining text: single sentences, and pairs of sentences of which the second follows the first or does not."""

from __future__ import annotations

from typing import NamedTuple

from stabilitybench.language.grammar import Meaning, realise, text
from stabilitybench.language.relations import change, contrary_follow_up, follow_up, paraphrase, weaken
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import sample_meaning

#: Share of passages that are pairs, and share of pairs whose second sentence follows the first.
PAIRED, FOLLOWS = 0.65, 0.5


class Passage(NamedTuple):
    """One or two sentences.

    Attributes
    ----------
    first : str
        The first sentence, or the only one.
    second : str or None, default None
        What stands after it; None for a single sentence.
    follows : bool or None, default None
        Whether the second sentence comes next; None for a single sentence.
    """

    first: str
    second: str | None = None
    follows: bool | None = None


def passage(dice: Dice) -> Passage:
    """Draw a passage.

    A second sentence that follows is a paraphrase, something weaker, or a statement in the same tone about someone
    in the first.  One that does not is half the time about the same things: the first with two words changed,
    or a statement in the opposite tone; else it has nothing to do with it.

    Parameters
    ----------
    dice : Dice
        Source of the random choices.

    Returns
    -------
    Passage
        A single sentence with chance 1 - `PAIRED`, else a pair, which follows with chance `FOLLOWS`.

    Examples
    --------
    >>> import numpy as np
    >>> passage(Dice(np.random.default_rng(1)))
    Passage(first='this picture is not big', second='the image is not big', follows=True)
    """
    meaning = sample_meaning(dice)
    said = realise(meaning, dice)
    if not dice.chance(PAIRED):
        return Passage(text(said))
    follows = dice.chance(FOLLOWS)
    second = _next(meaning, dice) if follows else _other(meaning, dice)
    again = realise(second, dice) if second != meaning else paraphrase(meaning, said, dice)
    return Passage(text(said), text(again), follows)


def _next(meaning: Meaning, dice: Dice) -> Meaning:
    kind = dice.below(3)
    if kind == 0:
        return meaning
    second = weaken(meaning, dice) if kind == 1 else None
    return second or follow_up(meaning, dice)


def _other(meaning: Meaning, dice: Dice) -> Meaning:
    if dice.chance(0.5):
        other = sample_meaning(dice)
    else:
        turned = contrary_follow_up(meaning, dice) if dice.chance(1 / 3) else None
        other = turned or change(change(meaning, dice), dice)
    return other if other != meaning else _other(meaning, dice)  # two changes may undo each other
