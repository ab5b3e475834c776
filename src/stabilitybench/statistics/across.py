"""Across tasks: one ratio of spreads from several, means and ranks over tasks, with the uncertainty of all runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.statistics.deviation import DeviationRatio
from stabilitybench.statistics.results import Estimate, Floats, check_draws, check_level, sample
from stabilitybench.statistics.sd_ratio_intervals import SdRatio

# below this many tasks the spread between tasks cannot be told
ENOUGH_TASKS = 3
# elements of one block of resamples
_BLOCK = 2**20

Statistic = Callable[[Floats], Floats]


def _iqm(values: Floats) -> Floats:
    n = values.shape[-1]
    kept = np.sort(values, axis=-1)[..., n // 4 : n - n // 4]
    return np.asarray(kept.mean(axis=-1))


STATISTICS: dict[str, Statistic] = {
    "mean": lambda values: np.asarray(values.mean(axis=-1)),
    "median": lambda values: np.asarray(np.median(values, axis=-1)),
    "iqm": _iqm,
    "sd": lambda values: np.asarray(values.std(axis=-1, ddof=1)),
}


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


def stratified_bootstrap(
    tasks: Mapping[Hashable, npt.ArrayLike],
    statistic: str | Statistic,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1999,
    resample_tasks: bool = False,
) -> Estimate:
    """Return the mean over tasks of a statistic of each task's runs, with a percentile bootstrap interval.

    Runs are resampled within each task: the interval is for these tasks.

    Parameters
    ----------
    tasks : mapping of label to array_like
        Task to scores, at least 2 for each.
    statistic : str or callable
        "mean", "median", "iqm", "sd", or a function that maps a matrix to one number per row.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float, default 0.95
        Confidence level, in (0, 1).
    resamples : int, default 1999
        Bootstrap resamples, at least 99.
    resample_tasks : bool, default False
        Draw tasks first and then runs within them (two-stage cluster bootstrap): the interval is for tasks like these,
        and with few of them only a rough one.

    Returns
    -------
    Estimate
        The unweighted mean over tasks.

    Raises
    ------
    UserError
        For no tasks, fewer than 2 or not finite scores, a level or a number of resamples out of range, or a statistic
        that does not give one finite number per row.

    Examples
    --------
    >>> scores = {"rte": [0.6, 0.7, 0.8], "cola": [0.5, 0.55, 0.6]}
    >>> found = stratified_bootstrap(scores, "mean", np.random.default_rng(0))
    >>> round(found.estimate, 3)
    0.625
    """
    # sorted, so that the same runs in another order give the same resamples
    samples = [np.sort(_runs(values, f"task {task}")) for task, values in tasks.items()]
    check_level(level)
    check_draws(rng, resamples, "resamples")
    if not samples:
        raise UserError("no tasks: at least one is needed")
    estimate = float(np.mean([_apply(statistic, values[None, :])[0] for values in samples]))
    k = len(samples)
    chosen = rng.integers(0, k, (resamples, k)) if resample_tasks else np.tile(np.arange(k), (resamples, 1))
    drawn = np.empty((resamples, k))
    for place, values in enumerate(samples):
        wanted = chosen == place
        drawn[wanted] = _resampled(values, statistic, int(wanted.sum()), rng)
    method = "two-stage cluster bootstrap, percentile" if resample_tasks else "stratified bootstrap, percentile"
    return _percentile(estimate, drawn.mean(axis=1), level, method)


def cluster_bootstrap(
    scores: npt.ArrayLike,
    clusters: npt.ArrayLike,
    statistic: str | Statistic,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1999,
) -> Estimate:
    """Return a statistic of runs that belong together in clusters, with a percentile bootstrap interval.

    Runs that share a seed of a stream (a data subset, say) are not independent; here whole clusters are drawn.

    Parameters
    ----------
    scores : array_like, shape (n,)
        One score per run.
    clusters : array_like, shape (n,)
        The label of each run's cluster, at least 2 different ones.
    statistic, rng, level, resamples
        As in `stratified_bootstrap`.

    Raises
    ------
    UserError
        As in `stratified_bootstrap`, and for labels that do not fit the scores.

    Examples
    --------
    >>> scores, subset = [0.6, 0.61, 0.7, 0.71], ["a", "a", "b", "b"]
    >>> found = cluster_bootstrap(scores, subset, "mean", np.random.default_rng(0))
    >>> round(found.low, 3), round(found.high, 3)
    (0.605, 0.705)
    """
    values, labels = _runs(scores, "scores"), np.asarray(clusters)
    check_level(level)
    check_draws(rng, resamples, "resamples")
    if labels.shape != values.shape:
        raise UserError(f"{values.size} scores with {labels.size} labels of clusters: must be as many")
    _, cluster = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(cluster == c) for c in range(int(cluster.max()) + 1)]
    if len(members) < 2:
        raise UserError("all runs are in one cluster: at least 2 clusters are needed")
    estimate = float(_apply(statistic, values[None, :])[0])
    # clusters may differ in size, so that resamples differ in length and are taken one by one
    drawn = np.array(
        [
            _apply(statistic, values[np.concatenate([members[c] for c in row])][None, :])[0]
            for row in rng.integers(0, len(members), (resamples, len(members)))
        ]
    )
    return _percentile(estimate, drawn, level, "cluster bootstrap, percentile")


def ranks(
    scores: pd.DataFrame,
    statistic: str | Statistic,
    rng: np.random.Generator,
    lower_is_better: bool,
    level: float = 0.95,
    resamples: int = 1999,
) -> pd.DataFrame:
    """Return the mean rank of each arm over tasks, with an interval and the probability of being first.

    Runs are resampled within each arm and task. Rank 1 is the best; ties share their mean rank.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per run with the columns task, arm and score; every arm has at least 2 runs on every task.
    statistic, rng
        As in `stratified_bootstrap`; arms are ranked by the statistic.
    lower_is_better : bool
        Whether the lowest statistic has rank 1, as for an SD.
    level, resamples
        As in `stratified_bootstrap`.

    Returns
    -------
    pandas.DataFrame
        One row per arm, the best first: rank, low, high and first, the share of resamples in which the arm has the best
        mean rank, ties shared.

    Raises
    ------
    UserError
        For missing columns or cells, fewer than 2 arms, scores that are not finite, a level or a number of resamples
        out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = [("rte", a, s * x) for a, s in (("plain", 3.0), ("reinit", 1.0)) for x in rng.normal(size=20)]
    >>> frame = pd.DataFrame(rows, columns=["task", "arm", "score"])
    >>> ranks(frame, "sd", rng, lower_is_better=True)["rank"].to_dict()
    {'reinit': 1.0, 'plain': 2.0}
    """
    check_level(level)
    check_draws(rng, resamples, "resamples")
    missing = [name for name in ("task", "arm", "score") if name not in scores]
    if missing:
        raise UserError(f"column {missing[0]}: must be in the table, beside task, arm and score")
    arms, tasks = list(dict.fromkeys(scores["arm"])), list(dict.fromkeys(scores["task"]))
    if len(arms) < 2:
        raise UserError(f"{len(arms)} arm: ranks need at least 2")
    cells = {key: part.to_numpy() for key, part in scores.groupby(["task", "arm"], sort=False)["score"]}
    observed, drawn = np.empty((1, len(tasks), len(arms))), np.empty((resamples, len(tasks), len(arms)))
    for i, task in enumerate(tasks):
        for j, arm in enumerate(arms):
            if (task, arm) not in cells:
                raise UserError(f'arm "{arm}": has no runs on task "{task}"; ranks need every arm on every task')
            values = np.sort(_runs(cells[task, arm], f'arm "{arm}" on task "{task}"'))
            observed[0, i, j] = _apply(statistic, values[None, :])[0]
            drawn[:, i, j] = _resampled(values, statistic, resamples, rng)
    sign = 1.0 if lower_is_better else -1.0
    rank, ranked = (stats.rankdata(sign * x, axis=2).mean(axis=1) for x in (observed, drawn))
    best = ranked == ranked.min(axis=1, keepdims=True)
    limits = np.quantile(ranked, ((1 - level) / 2, (1 + level) / 2), axis=0)
    table = pd.DataFrame(
        {
            "rank": rank[0],
            "low": limits[0],
            "high": limits[1],
            "first": (best / best.sum(axis=1, keepdims=True)).mean(axis=0),
        },
        index=pd.Index(arms, name="arm"),
    )
    return table.sort_values("rank", kind="stable")


def _runs(scores: npt.ArrayLike, name: str) -> Floats:
    values = sample(scores, name)
    if values.size < 2:
        raise UserError(f"{name}: {values.size} scores: a bootstrap needs at least 2")
    return values


def _apply(statistic: str | Statistic, rows: Floats) -> Floats:
    """Return the statistic of each row, checked."""
    if isinstance(statistic, str):
        if statistic not in STATISTICS:
            raise UserError(f'statistic = "{statistic}": must be one of {", ".join(STATISTICS)}, or a function')
        statistic = STATISTICS[statistic]
    found = np.asarray(statistic(rows), dtype=np.float64)
    if found.shape != (len(rows),):
        raise UserError(f"the statistic gives shape {found.shape} for {len(rows)} rows: must give one number per row")
    if not np.isfinite(found).all():
        raise UserError("the statistic is not finite for some resamples: use one that is defined for equal scores")
    return found


def _resampled(values: Floats, statistic: str | Statistic, resamples: int, rng: np.random.Generator) -> Floats:
    step = max(1, _BLOCK // values.size)
    parts: Sequence[Floats] = [
        _apply(statistic, values[rng.integers(0, values.size, (min(step, resamples - start), values.size))])
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _percentile(estimate: float, drawn: Floats, level: float, method: str) -> Estimate:
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    return Estimate(estimate, float(low), float(high), method, "")
