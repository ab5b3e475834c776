"""Longer training, alone or at a smaller rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("longer")
@dataclass(frozen=True)
class Longer(Stabilizer):
    """Train for more steps than the three epochs that are usual.

    ``T = epochs * ceil(rows / batch size)`` steps.

    Modifies: the number of steps, and with it the length of warm-up and decay, which are fractions of it.

    Defaults: epochs 20, that of Mosbach et al. 2021; Zhang et al. choose among 200 to 3,200 steps on validation.
    """

    paper = "Zhang et al. 2021, arXiv:2006.05987, section 6"
    traits = frozenset({Trait.SETS_EPOCHS})
    epochs: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.epochs <= 100_000:
            raise ValueError(f"epochs = {self.epochs}: must lie in (0, 100000]")

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Set the epochs."""
        return recipe.replace(epochs=self.epochs, steps=None)


@register("small-rate")
@dataclass(frozen=True)
class SmallRate(Stabilizer):
    """Train at a smaller rate for longer, with bias correction.

    ``lr <- factor * lr`` and ``T = epochs * ceil(rows / batch size)`` steps.

    Modifies: the learning rate, the number of steps, and Adam's bias correction, which it switches on.

    Defaults: epochs 20, the authors'; their rate, 2e-5 for BERT-large, is no small one among published recipes, so the
    default factor is 1 and what changes is the length.
    """

    paper = "Mosbach, Andriushchenko & Klakow 2021, arXiv:2006.04884"
    traits = frozenset({Trait.SETS_EPOCHS, Trait.CORRECTS_BIAS})
    factor: float = 1.0
    epochs: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor = {self.factor}: must lie in (0, 1]")
        if not 0 < self.epochs <= 100_000:
            raise ValueError(f"epochs = {self.epochs}: must lie in (0, 100000]")

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Set the epochs and correct the bias."""
        return recipe.replace(epochs=self.epochs, steps=None, bias_correction=True)

    def rate(self, name: str, ctx: Context) -> float:
        """Return the same factor for every tensor."""
        return self.factor
