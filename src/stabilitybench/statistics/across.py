"""Across tasks: means and ranks over tasks, with the uncertainty of all runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.argument_checks import flag, mapping, of_kind
from stabilitybench.errors import Argument, UserError, shown
from stabilitybench.statistics.results import Estimate, Floats, check_draws, check_level, reals, sample

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
    given = mapping("tasks", tasks, "names to scores")
    samples = [np.sort(_runs(values, f"tasks[{shown(task)}]")) for task, values in given.items()]
    check_level(level)
    check_draws(rng, resamples, "resamples")
    if not samples:
        raise UserError("tasks: none: at least one is needed")
    estimate = float(np.mean([_apply(statistic, values[None, :])[0] for values in samples]))
    k = len(samples)
    again = flag("resample_tasks", resample_tasks)
    chosen = rng.integers(0, k, (resamples, k)) if again else np.tile(np.arange(k), (resamples, 1))
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
    values = _runs(scores, "scores")
    try:
        labels = np.asarray(clusters)
    except ValueError:
        labels = np.empty(0)
    check_level(level)
    check_draws(rng, resamples, "resamples")
    if labels.shape != values.shape:
        raise UserError(f"clusters: {labels.size} labels for {values.size} scores: must be as many")
    _, cluster = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(cluster == c) for c in range(int(cluster.max()) + 1)]
    if len(members) < 2:
        raise UserError("all runs are in one cluster: at least 2 clusters are needed")
    estimate = float(_apply(statistic, values[None, :])[0])
    # clusters may differ in size, so that resamples differ in length and are taken one by one
    rows = rng.integers(0, len(members), (resamples, len(members)))
    drawn = np.array([_apply(statistic, values[np.concatenate([members[c] for c in row])][None, :])[0] for row in rows])
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
    of_kind("scores", scores, "a table with the columns task, arm and score", pd.DataFrame)
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
    sign = 1.0 if flag("lower_is_better", lower_is_better) else -1.0
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
    function = STATISTICS.get(statistic) if isinstance(statistic, str) else statistic
    if not callable(function):
        raise UserError(Argument("statistic", statistic), f": must be one of {', '.join(STATISTICS)}, or a function")
    found = reals(function(rows), "statistic", "must give one number per row")
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
