"""The differences that a plan looks at: what each is, its power with so many seeds, and the seeds it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from stabilitybench.documents.formats import ratio
from stabilitybench.statistics import brown_forsythe_power, fisher_power, seeds_for_rates, seeds_for_ratio
from stabilitybench.statistics.failure_power import MOST_SEEDS_FISHER
from stabilitybench.statistics.power import Scores
from stabilitybench.statistics.seed_search import MOST_SEEDS


@dataclass(frozen=True)
class SdRatioEffect:
    """An SD ratio, looked for with Brown-Forsythe.

    Attributes
    ----------
    ratio : float
        SD of the arm over that of the baseline: 0.01 to 100, not 1.
    scores : {"normal", "t4"} or array_like, default "normal"
        The distribution of the scores, or scores to resample.
    """

    ratio: float
    scores: Scores = "normal"

    def __str__(self) -> str:
        return f"{self.short} (or {ratio(1 / self.ratio)})"

    @property
    def short(self) -> str:
        """The difference in a few words."""
        return f"SD ratio {ratio(self.ratio)}"

    def power(self, n: int, level: float) -> float | None:
        """Return the power of the test.

        Parameters
        ----------
        n : int
            Runs per arm.
        level : float
            Significance level of the test.
        """
        return brown_forsythe_power(self.ratio, n, n, level, self.scores)

    def seeds(self, level: float, power: float) -> int | None:
        """Return the runs per arm needed, or None where no number looked at is enough.

        Parameters
        ----------
        level : float
            Significance level of the test.
        power : float
            Chance with which the difference is to be shown.
        """
        return seeds_for_ratio(self.ratio, level, power, self.scores)

    @property
    def most(self) -> int:
        """The most seeds that are looked at."""
        return MOST_SEEDS


@dataclass(frozen=True)
class RatesEffect:
    """Two failure rates, told apart with Fisher's test.

    Attributes
    ----------
    arm, baseline : float
        True failure rates, between 0 and 1.
    """

    arm: float
    baseline: float

    def __str__(self) -> str:
        return self.short

    @property
    def short(self) -> str:
        """The difference in a few words."""
        return f"failures in {percentage(self.arm)} against {percentage(self.baseline)}"

    def power(self, n: int, level: float) -> float | None:
        """Return the power of the test; None where n is too large to enumerate.

        Parameters
        ----------
        n : int
            Runs per arm.
        level : float
            Significance level of the test.
        """
        return fisher_power(self.arm, self.baseline, n, n, level) if n <= MOST_SEEDS_FISHER else None

    def seeds(self, level: float, power: float) -> int | None:
        """Return the runs per arm needed, or None where no number looked at is enough.

        Parameters
        ----------
        level : float
            Significance level of the test.
        power : float
            Chance with which the difference is to be shown.
        """
        return seeds_for_rates(self.arm, self.baseline, level, power)

    @property
    def most(self) -> int:
        """The most seeds that are looked at."""
        return MOST_SEEDS_FISHER


Effect: TypeAlias = SdRatioEffect | RatesEffect


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
