"""An effect and the same effect over bootstrap samples: its interval, p-value and what it could have shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.statistics.results import sample


@dataclass(frozen=True)
class BootstrapTest:
    """What bootstrap samples say of an effect.

    Attributes
    ----------
    se : float
        The SD of the effect over the samples.
    low, high : float
        Its 95 % percentile interval.
    p : float
        Two-sided, from the shares of the samples on either side of 0.
    """

    se: float
    low: float
    high: float
    p: float

    def power(self, effect: float, alpha: float = ALPHA) -> float:
        """Return the chance that an effect of this size is seen, taken as normal with the standard error `se`.

        Parameters
        ----------
        effect : float
            In the unit of `se`.
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        """
        return float(stats.norm.cdf(effect / self.se - float(stats.norm.isf(alpha / 2))))

    def detectable(self, alpha: float = ALPHA, power: float = POWER) -> float:
        """Return the effect that is seen with the chance `power`.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        power : float, default 0.8
            Chance to see it, in (0, 1).
        """
        return (float(stats.norm.isf(alpha / 2)) + float(stats.norm.ppf(power))) * self.se


def bootstrap_test(drawn: npt.ArrayLike) -> BootstrapTest | None:
    """Return what the effects of bootstrap samples say; None where they are all equal.

    Parameters
    ----------
    drawn : array_like
        The effect in each bootstrap sample.

    Examples
    --------
    >>> found = bootstrap_test(np.random.default_rng(0).normal(1.0, 0.2, 999))
    >>> found.p, round(found.se, 1)
    (0.002, 0.2)
    """
    values = sample(drawn, "bootstrap effects")
    se = float(values.std(ddof=1))
    if se == 0:
        return None
    low, high = (float(q) for q in np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2]))
    below, above = ((1 + int(np.count_nonzero(side))) / (1 + len(values)) for side in (values <= 0, values >= 0))
    return BootstrapTest(se, low, high, min(1.0, 2 * min(below, above)))
