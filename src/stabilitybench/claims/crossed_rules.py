"""Rules for designs of their own: crossed seeds, budgets of runs, early dropping, and measures that may disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.claims.evidence import Floats, MissingEvidence, Sample
from stabilitybench.claims.findings import CheckResult
from stabilitybench.errors import UserError
from stabilitybench.statistics import bootstrap_measures, expected_best
from stabilitybench.statistics.decisions import ALPHA, POWER

_ENTROPY = 2_002_063
_RESAMPLES = 1_999


def comparable(scores: Floats, *, margin: float) -> CheckResult:
    """Ask whether two crossed factors contribute alike; the effect is the ratio of their root mean squares.

    scores : [levels of the first factor, levels of the second], one run each.  The mean squares of the two factors are
    independent, so that their ratio has an F interval (normal effects).  Supported where the two one-sided F tests put
    the ratio inside (1 / margin, margin), adjusted; contradicted where its 95 % interval lies outside, else not
    detected.  Where neither factor passes its own F test against the interaction, the rule does not apply.
    """
    (first, df_a), (second, df_b), (rest, df_rest) = mean_squares(scores)
    tests = [(first, df_a), (second, df_b)]
    if rest > 0 and all(float(stats.f.sf(square / rest, df, df_rest)) >= ALPHA for square, df in tests):
        note = "neither factor is seen to matter, so that both contribute alike for want of any contribution"
        return CheckResult(f"{scores.size} runs", unit="ratio", note=note, decided="not applicable")
    if first == 0 or second == 0:
        return CheckResult(f"{scores.size} runs", unit="ratio", note="a factor has no effect", decided="not applicable")
    ratio = first / second
    low, high = (ratio / float(stats.f.isf(q, df_a, df_b)) for q in (ALPHA / 2, 1 - ALPHA / 2))
    bound = margin**2
    p = max(float(stats.f.cdf(ratio / bound, df_a, df_b)), float(stats.f.sf(ratio * bound, df_a, df_b)))

    def shown(limit: float) -> float:
        edges = [float(stats.f.isf(1 - ALPHA, df_a, df_b)) * limit, float(stats.f.isf(ALPHA, df_a, df_b)) / limit]
        return max(0.0, float(stats.f.cdf(edges[0], df_a, df_b) - stats.f.cdf(edges[1], df_a, df_b)))

    reach = next((float(m) for m in np.geomspace(1.01, 100, 400) if shown(float(m) ** 2) >= POWER), None)
    outside = low > bound or high < 1 / bound
    return CheckResult(
        f"{scores.shape[0]} x {scores.shape[1]} runs", math.sqrt(ratio), math.sqrt(low), math.sqrt(high), "ratio", p=p,
        ahead=True, power=shown(bound), detectable=reach, note=f"alike: between 1/{margin:g} and {margin:g}",
        decided="contradicted" if outside else None, limits=(1 / margin, margin),
    )  # fmt: skip


def matters(scores: Floats, *, factor: int, interest: float) -> CheckResult:
    """Ask whether a factor of a crossed design matters at all, by its F test against the interaction.

    scores : [levels of the first factor, levels of the second].  factor : 0 or 1.  The effect is the SD of the
    factor's effects over that of what is left (0: none), with its F interval.  interest : the smallest such SD ratio
    worth knowing.  There is no direction to contradict.
    """
    squares = mean_squares(scores)
    (mean, df), (rest, df_rest) = squares[factor], squares[2]
    if rest == 0:
        return CheckResult(
            f"{scores.size} runs", unit="SD over the rest", note="nothing is left over", decided="not applicable"
        )
    repeats = scores.shape[1 - factor]
    found = mean / rest

    def of(f: float) -> float:
        return math.sqrt(max(0.0, f - 1) / repeats)

    critical = float(stats.f.isf(ALPHA, df, df_rest))

    def power(effect: float) -> float:
        return float(stats.f.sf(critical / (1 + repeats * effect**2), df, df_rest))

    reach = next((float(d) for d in np.linspace(0, 5, 501) if power(float(d)) >= POWER), None)
    low, high = (found / float(stats.f.isf(q, df, df_rest)) for q in (ALPHA / 2, 1 - ALPHA / 2))
    return CheckResult(
        f"{scores.shape[0]} x {scores.shape[1]} runs", of(found), of(low), of(high), "SD over the rest",
        p=float(stats.f.sf(found, df, df_rest)), ahead=True, power=power(interest), detectable=reach,
    )  # fmt: skip


def mean_squares(scores: Floats) -> tuple[tuple[float, int], tuple[float, int], tuple[float, int]]:
    """Return mean square and degrees of freedom of rows, columns and their interaction, one run per cell.

    >>> rows = mean_squares(np.array([[1.0, 1.0], [3.0, 3.0]]))[0]
    >>> rows
    (4.0, 1)
    """
    if scores.ndim != 2 or min(scores.shape) < 2 or not np.isfinite(scores).all():
        raise UserError(f"crossed scores of shape {scores.shape}: must be at least 2 x 2, all finite")
    a, b = scores.shape
    rows, columns = scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - rows[:, None] - columns[None, :] + scores.mean()
    return (
        (float(b * rows.var(ddof=1)), a - 1),
        (float(a * columns.var(ddof=1)), b - 1),
        (float((rest**2).sum()) / ((a - 1) * (b - 1)), (a - 1) * (b - 1)),
    )


def few_trials(first: Sample, second: Sample, *, budgets: Sequence[int], margin: float, interest: float) -> CheckResult:
    r"""Ask whether a few runs of the first arm are likely to match the best of the many runs of the second.

    The effect is the chance :math:`1 - (1 - q)^m` that the best of m runs comes within `margin` of the best run of the
    second arm, q the chance that one run does; tested against one half by the exact binomial test of q, with the
    Clopper-Pearson interval.  The best of the many is the one that was made: what is asked is about these runs.

    budgets : m, and the number of runs of the second arm.  interest : the smallest distance of the chance from one half
    worth knowing.
    """
    m, many = budgets
    if second.n != many:
        raise MissingEvidence(f"{second.n} runs to take the best of, where the claim is about {many}")
    goal = float(second.values.max()) - margin
    reached = int(np.count_nonzero(first.values >= goal))
    test = stats.binomtest(reached, first.n, _one_run(0.5, m))
    limits = test.proportion_ci(1 - ALPHA)
    chances = (reached / first.n, float(limits.low), float(limits.high))
    effect, low, high = (1 - (1 - q) ** m for q in chances)
    target = min(0.5 + interest, 0.999)
    grid = (float(c) for c in np.linspace(0.5, 1, 501)[1:])
    return CheckResult(
        f"{first.n} + {second.n}", effect, low, high, "chance", p=float(test.pvalue), ahead=effect > 0.5,
        power=_binomial_power(target, m, first.n),
        detectable=next((c for c in grid if _binomial_power(c, m, first.n) >= POWER), None),
        seeds=next((n for n in range(3, 2000) if _binomial_power(target, m, n) >= POWER), None),
        note=f"{reached} of {first.n} runs come within {100 * margin:g} points of the best of {many}; chance of {m}",
        limits=(0.5,),
    )  # fmt: skip


def _one_run(chance: float, m: int) -> float:
    """Return the chance of one run with which the best of m has the given chance."""
    return 1.0 - float((1.0 - chance) ** (1.0 / m))


@lru_cache(maxsize=4096)
def _binomial_power(chance: float, m: int, n: int) -> float:
    """Return the power of the two-sided test of n runs where the best of m has the given chance, above one half."""
    counts = np.arange(n + 1)
    null, true = (stats.binom.pmf(counts, n, _one_run(c, m)) for c in (0.5, chance))
    rejected = np.array([null[null <= mass * (1 + 1e-7)].sum() < ALPHA for mass in null])
    return float(true[rejected & (counts > n * _one_run(0.5, m))].sum())


def _best(values: Floats, m: int) -> float:
    return float(expected_best(values, [m], replace=True)[0])


def early_dropping(
    readings: Floats, final: Floats, *, started: int, dropped: int, fraction: float, interest: float, unit: str
) -> CheckResult:
    """Compare, at equal cost, the best of s runs of which k were dropped early with the best of fewer whole runs.

    readings, final : validation score of each run after the fraction f of its training, and at its end.
    s runs cost (s - k) + k f whole runs, which must be a whole number (Dodge et al. 2020).  The effect is the
    expected best of the s - k kept minus that of so many undisturbed runs; both by resampling the runs.
    """
    cost = started - dropped + dropped * fraction
    if abs(cost - round(cost)) > 1e-9:
        raise UserError(f"{started} runs without {dropped} after {fraction} of the training cost {cost} whole runs")
    rng = np.random.default_rng(_ENTROPY + 1)
    n, inner = len(final), 200

    def gain(rows: npt.NDArray[np.intp]) -> float:
        sets = rows[rng.integers(0, n, (inner, started))]
        kept = np.argsort(-readings[sets], axis=1, kind="stable")[:, : started - dropped]
        early = np.take_along_axis(final[sets], kept, axis=1).max(axis=1).mean()
        return float(early) - _best(final[rows], round(cost))

    everything = np.arange(n)
    effect = float(np.mean([gain(everything) for _ in range(100)]))
    drawn = np.array([gain(rng.integers(0, n, n)) for _ in range(_RESAMPLES)])
    return _bootstrapped(f"{n}", effect, drawn, n, interest, unit).noting(
        f"{started} started, {dropped} dropped after {100 * fraction:g} % of the training, for the cost of {cost:g}"
    )


def _bootstrapped(n: str, effect: float, drawn: Floats, runs: int, interest: float, unit: str) -> CheckResult:
    scale = 100.0 if unit == "points" else 1.0
    se = float(drawn.std(ddof=1))
    if se == 0:
        return CheckResult(n, scale * effect, unit=unit, note="the bootstrap does not vary", decided="not applicable")
    low, high = (float(q) for q in np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2]))
    below = (1 + np.count_nonzero(drawn <= 0)) / (1 + len(drawn))
    above = (1 + np.count_nonzero(drawn >= 0)) / (1 + len(drawn))
    z = float(stats.norm.isf(ALPHA / 2))
    reach = (z + float(stats.norm.ppf(POWER))) * se
    return CheckResult(
        n, scale * effect, scale * low, scale * high, unit, p=min(1.0, 2 * min(below, above)), ahead=effect > 0,
        power=float(stats.norm.cdf(interest / se - z)), detectable=scale * reach,
        seeds=math.ceil(runs * (reach / interest) ** 2),
    )  # fmt: skip


def measures_agree(predictions: Mapping[str, tuple[npt.NDArray[np.int64], Floats]], *, interest: float) -> CheckResult:
    """Ask whether measures of instability agree the more, the larger the SD: Spearman over groups of runs.

    predictions : per group (an arm on a task) the predicted classes [runs, examples] and the scores [runs].  Agreement
    is the correlation of SD and pairwise disagreement over bootstrap samples of the group's runs (Du & Nguyen 2023).
    interest : the smallest rank correlation worth knowing.  Groups without any spread of their own are left out.
    """
    rng = np.random.default_rng(_ENTROPY + 2)
    spreads, agreements = [], []
    for predicted, scores in predictions.values():
        if np.ptp(scores) == 0 or len(scores) < 3:
            continue
        table = bootstrap_measures(scores, predicted, rng, draws=300)
        both = table[["sd", "disagreement"]].dropna()
        if len(both) < 100 or both.nunique().min() < 3:
            continue
        spreads.append(float(scores.std(ddof=1)))
        agreements.append(float(np.corrcoef(both.to_numpy(np.float64).T)[0, 1]))
    k = len(spreads)
    if k < 6:
        return CheckResult(f"{k} groups", unit="correlation", note="fewer than 6 groups vary", decided="not applicable")
    found = stats.spearmanr(spreads, agreements)
    r = float(found.statistic)
    se = math.sqrt((1 + r**2 / 2) / (k - 3))  # Bonett & Wright 2000
    z = float(stats.norm.isf(ALPHA / 2))
    low, high = (math.tanh(math.atanh(max(min(r, 0.9999), -0.9999)) + sign * z * se) for sign in (-1, 1))
    plain = 1 / math.sqrt(k - 3)
    reach = math.tanh((z + float(stats.norm.ppf(POWER))) * plain)
    seeds = math.ceil(3 + ((z + float(stats.norm.ppf(POWER))) / math.atanh(interest)) ** 2)
    middle = float(np.median(agreements))
    return CheckResult(
        f"{k} groups", r, low, high, "correlation", p=float(found.pvalue), ahead=r > 0,
        power=float(stats.norm.cdf(math.atanh(interest) / plain - z)), detectable=reach,
        note=f"median agreement {middle:.2f}; {seeds} groups would detect a correlation of {interest:g}; taken as "
        "independent, though groups share seeds and test rows",
    )  # fmt: skip
