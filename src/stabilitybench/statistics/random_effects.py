"""One ratio of spreads from those of several tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from stabilitybench.argument_checks import mapping, of_kind
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import shown
from stabilitybench.statistics.deviation import DeviationRatio
from stabilitybench.statistics.results import check_level
from stabilitybench.statistics.sd_ratio_intervals import SdRatio

# below this many tasks the spread between tasks cannot be told
ENOUGH_TASKS = 3


@dataclass(frozen=True, eq=False)
class MetaAnalysis(EqualByContent):
    """Random-effects summary of ratios of spread over tasks.

    Attributes
    ----------
    estimate, low, high : float or None
        The mean ratio with the Hartung-Knapp interval; below 1 the arm scatters less.
    prediction_low, prediction_high : float or None
        Where the ratio of a new task like these would lie.
    p : float or None
        The test of a mean ratio of 1.
    tau2 : float or None
        Variance of the true log ratios between tasks (Paule-Mandel).
    i2 : float or None
        Share of the variance that lies between tasks, in [0, 1].
    q, q_p : float or None
        Cochran's test of one ratio for all tasks.
    tasks : pandas.DataFrame
        One row per task: estimate, low, high, log_se, weight (sums to 1; 0 outside the summary), note.
    note : str
        Why there is no summary, all numbers being None then; empty otherwise.
    """

    estimate: float | None
    low: float | None
    high: float | None
    prediction_low: float | None
    prediction_high: float | None
    p: float | None
    tau2: float | None
    i2: float | None
    q: float | None
    q_p: float | None
    tasks: pd.DataFrame
    note: str


def meta_analysis(ratios: Mapping[str, SdRatio | DeviationRatio], level: float = 0.95) -> MetaAnalysis:
    """Combine the ratios of spread of several tasks by random effects on the logarithm.

    The variance between tasks is Paule and Mandel's [1]_, the interval Hartung and Knapp's [2]_ with Student's t and k
    - 1 df, both by statsmodels; the prediction interval is that of Higgins, Thompson & Spiegelhalter [3]_ with k - 2
    df.

    Parameters
    ----------
    ratios : mapping of str to SdRatio or DeviationRatio
        Task to ratio, all of one kind. A task without an interval (withheld for failed runs, say) leaves the summary,
        and its row says why.
    level : float, default 0.95
        Confidence level of the intervals, in (0, 1).

    Returns
    -------
    MetaAnalysis
        Without a summary, with a note, below 3 usable tasks: two cannot tell how tasks differ.

    Raises
    ------
    UserError
        For a level outside (0, 1).

    References
    ----------
    .. [1] Paule & Mandel (1982), J. Res. Natl. Bur. Stand. 87:377-385.
    .. [2] Hartung & Knapp (2001), Statist. Med. 20:1771-1782.
    .. [3] Higgins, Thompson & Spiegelhalter (2009), JRSS A 172:137-159.

    Examples
    --------
    >>> from stabilitybench.statistics import sd_ratio
    >>> rng = np.random.default_rng(0)
    >>> found = meta_analysis({t: sd_ratio(rng.normal(0, 1, 50), rng.normal(0, 2, 50)) for t in "abcd"})
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '0.50 [0.42, 0.61]'
    """
    check_level(level)
    for task, found in mapping("ratios", ratios, "names of tasks to ratios of spread").items():
        what = "what sd_ratio or deviation_ratio returns"
        of_kind(f"ratios[{shown(task)}]", found, what, (SdRatio, DeviationRatio))
    rows = {
        task: (
            found.estimate,
            found.low,
            found.high,
            found.log_se,
            found.note or ("" if _usable(found) else "no standard error"),
        )
        for task, found in ratios.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high", "log_se", "note"])
    table = table.astype(dict.fromkeys(("estimate", "low", "high", "log_se"), float))
    table.insert(4, "weight", 0.0)
    used = [task for task, found in ratios.items() if _usable(found)]
    if len(used) < ENOUGH_TASKS:
        note = f"no summary: {len(used)} of the {ENOUGH_TASKS} tasks needed have a ratio with an interval"
        return MetaAnalysis(None, None, None, None, None, None, None, None, None, None, table, note)
    from statsmodels.stats.meta_analysis import combine_effects

    effects, errors = np.log(table.loc[used, "estimate"].to_numpy()), table.loc[used, "log_se"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):  # their I2 divides by a Q of 0 where all ratios are equal
        combined = combine_effects(effects, errors**2, method_re="pm", maxiter=1000)
    k, centre, tau2 = len(used), float(combined.mean_effect_re), max(float(combined.tau2), 0.0)
    se = math.sqrt(float(combined.var_hksj_re))
    table.loc[used, "weight"] = combined.weights_rel_re
    half = float(stats.t.ppf(0.5 + level / 2, k - 1)) * se
    ahead = float(stats.t.ppf(0.5 + level / 2, k - 2)) * math.sqrt(tau2 + se**2)
    q = float(combined.q)
    return MetaAnalysis(
        estimate=_exp(centre),
        low=_exp(centre - half),
        high=_exp(centre + half),
        prediction_low=_exp(centre - ahead),
        prediction_high=_exp(centre + ahead),
        p=float(2 * stats.t.sf(abs(centre) / se, k - 1)) if se > 0 else float(centre == 0),
        tau2=tau2,
        i2=max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0,
        q=q,
        q_p=float(stats.chi2.sf(q, k - 1)),
        tasks=table,
        note="",
    )


def _usable(found: SdRatio | DeviationRatio) -> bool:
    return found.low is not None and bool(found.log_se)


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf
