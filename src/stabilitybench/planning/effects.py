"""The differences that a plan looks at: what each is, its power with so many seeds, and the seeds it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stabilitybench.documents.formats import ratio
from stabilitybench.power.failures import failure_power
from stabilitybench.power.questions import Look, level_power, spread_power
from stabilitybench.power.simulated_studies import Conditions
from stabilitybench.statistics.deviation import FEWEST
from stabilitybench.statistics.questions import FEWEST_FOR_LEVEL


class Effect(ABC):
    """A difference between an arm and the baseline that is named before the study.

    Attributes
    ----------
    fewest : int
        With fewer runs per arm there is no test.
    dips : int
        How many numbers of runs beyond a sufficient one may fall short again: exact tests have steps.
    """

    fewest: ClassVar[int]
    dips: ClassVar[int] = 1

    @abstractmethod
    def __str__(self) -> str:
        """Return the difference in a few words."""

    @abstractmethod
    def power(self, looks: Sequence[Look], conditions: Conditions) -> float:
        """Return the chance that the report shows the difference, in its direction.

        Parameters
        ----------
        looks : sequence of Look
            Runs and level of each look at the study.
        conditions : Conditions
            What the scores are like.
        """


@dataclass(frozen=True)
class SpreadEffect(Effect):
    """Another spread, shown by the test of the deviation ratio.

    Attributes
    ----------
    ratio : float
        Spread of the arm over that of the baseline: 0.01 to 100, not 1.
    """

    ratio: float
    fewest: ClassVar[int] = FEWEST

    def __str__(self) -> str:
        return f"spread ratio {ratio(self.ratio)}"

    def power(self, looks: Sequence[Look], conditions: Conditions) -> float:
        """Return the chance that the deviation ratio differs from 1, by simulation.

        Parameters
        ----------
        looks, conditions : object
            As for `Effect`.
        """
        return spread_power(self.ratio, looks, conditions)


@dataclass(frozen=True)
class LevelEffect(Effect):
    """Another level, shown by the t test of the means.

    Attributes
    ----------
    points : float
        Mean of the arm minus that of the baseline, in points, not 0.
    """

    points: float
    fewest: ClassVar[int] = FEWEST_FOR_LEVEL

    def __str__(self) -> str:
        return f"level {self.points:+.3g} points"

    def power(self, looks: Sequence[Look], conditions: Conditions) -> float:
        """Return the chance that the means differ, by simulation.

        Parameters
        ----------
        looks, conditions : object
            As for `Effect`.
        """
        return level_power(self.points, looks, conditions)


@dataclass(frozen=True)
class FailureEffect(Effect):
    """Two failure rates, told apart by the exact test of failures.

    Attributes
    ----------
    arm, baseline : float
        True failure rates, between 0 and 1.
    """

    arm: float
    baseline: float
    fewest: ClassVar[int] = 2
    dips: ClassVar[int] = 5

    def __str__(self) -> str:
        return f"failures in {percentage(self.arm)} against {percentage(self.baseline)}"

    def power(self, looks: Sequence[Look], conditions: Conditions) -> float:
        """Return the chance that the failures differ, by enumeration.

        Parameters
        ----------
        looks, conditions : object
            As for `Effect`.
        """
        return failure_power(self.arm, self.baseline, looks, conditions.paired)


def percentage(rate: float) -> str:
    """Print a rate with up to three digits.

    Parameters
    ----------
    rate : float
        A fraction.

    Examples
    --------
    >>> percentage(0.05), percentage(0.3133)
    ('5 %', '31.3 %')
    """
    return f"{100 * rate:.3g} %"
