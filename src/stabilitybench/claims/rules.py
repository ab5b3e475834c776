"""Rules that compare arms: level, equivalence, spread and failure, each over one task or several at once.

They are pure functions of samples.  Over several tasks the effect is the plain mean of the tasks' effects, each task a
stratum of its own: these are statements about these tasks, not about a population of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from stabilitybench.claims.evidence import Cells, Floats, Sample
from stabilitybench.claims.findings import CheckResult
from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    brown_forsythe,
    brown_forsythe_power,
    fisher_power,
    minimal_detectable_rate,
    minimal_detectable_ratio,
    risk_difference,
    sd_ratio,
    seeds_for_rates,
    seeds_for_ratio,
)
from stabilitybench.statistics.decisions import ALPHA, POWER

#: An arm with so large a share of failed runs has no spread to speak of: almost all its runs are one constant guess.
COLLAPSED = 0.9
#: Draws of the permutation test over several tasks.
DRAWS = 9_999
_ENTROPY = 2_006_059


def contrast(
    cells: Cells, weights: Sequence[float], *, higher: bool = True, null: float = 0.0, interest: float, unit: str
) -> CheckResult:
    r"""Test a weighted sum of arm means against `null`, by Welch's t over all tasks at once.

    The effect is :math:`\frac1k \sum_{tasks} \sum_a w_a \bar x_a` with variance :math:`\frac1{k^2} \sum \sum w_a^2
    s_a^2 / n_a` and the degrees of freedom of Satterthwaite (1946).  With weights (1, -1) and one task it is Welch's
    test; with (1, -1, -1, 1) an interaction; with (1, -0.9) it asks whether an arm reaches 90 % of another.

    weights : one per arm of each cell.  higher : whether the claim says the effect lies above `null`.
    interest : the smallest distance from `null` worth knowing, in the unit of the scores.
    unit : "points" shows the effect times 100.

    >>> from scipy.stats import ttest_ind
    >>> a, b = Sample.of([3.0, 4.0, 6.0]), Sample.of([1.0, 2.0, 2.5, 2.0])
    >>> found = contrast({"t": [a, b]}, [1, -1], interest=1.0, unit="")
    >>> abs(found.p - float(ttest_ind(a.values, b.values, equal_var=False).pvalue)) < 1e-9
    True
    """
    effect, se, df = _combined(cells, weights)
    scale = 100.0 if unit == "points" else 1.0
    n = _runs(cells)
    if se == 0:
        return CheckResult(
            n, scale * effect, unit=unit, note="no test: no arm has any spread", decided="not applicable"
        )
    t = (effect - null) / se
    half = float(stats.t.isf(ALPHA / 2, df)) * se
    reach = float(stats.t.isf(ALPHA / 2, df) + stats.t.isf(1 - POWER, df)) * se
    critical = float(stats.t.isf(ALPHA / 2, df))
    power = float(stats.nct.sf(critical, df, interest / se))
    largest = max(sample.n for row in cells.values() for sample in row)
    notes = [] if null == 0 else [f"tested against {scale * null:g}"]
    if len(cells) > 1:  # a mean over tasks may hide effects that go against each other
        each = {t: _combined({t: row}, weights)[0] for t, row in cells.items()}
        notes.append("by task: " + ", ".join(f"{t} {scale * e:+.1f}" for t, e in each.items()))
    return CheckResult(
        n, scale * effect, scale * (effect - half), scale * (effect + half), unit,
        p=float(2 * stats.t.sf(abs(t), df)), ahead=(effect > null) == higher, power=power, detectable=scale * reach,
        seeds=_more(largest, reach / interest), note="; ".join(notes), limits=(scale * null,) if null else (),
    )  # fmt: skip


def equivalence(cells: Cells, *, margin: float, unit: str) -> CheckResult:
    """Test whether two arms differ by less than `margin` in mean on every task, by two one-sided Welch tests.

    Each task has its own pair of tests (Schuirmann 1987) and the largest p counts, so that gains on one task cannot
    make up for losses on another; the finding is that of the task where the arms differ most.  Supported where p,
    adjusted, is significant; contradicted where the interval of some task, at 95 % over all tasks (Bonferroni), lies
    beyond the margin; else not detected.  Where at least half of the runs of both arms end with the very same score,
    the method did nothing to speak of, and the rule does not apply.
    detectable : the margin that equal arms with this spread would be shown to keep with a power of 80 %.
    """
    found = {task: _equivalence(row, margin, unit, len(cells)) for task, row in cells.items()}
    for task, row in cells.items():
        same = _same_runs(*row)
        if 2 * same >= row[0].n:
            return CheckResult(_runs(cells), unit=unit, decided="not applicable", note=(
                f"{task}: {same} of {row[0].n} runs end with the same score in both arms: the method changes next to "
                "nothing here"
            ))  # fmt: skip
    if any(one.decided == "not applicable" for one in found.values()):
        return CheckResult(_runs(cells), unit=unit, note="an arm has no spread", decided="not applicable")
    worst = max(found, key=lambda t: abs(found[t].effect or 0.0))
    it, seeds = found[worst], [one.seeds for one in found.values()]
    edge = 100 * margin if unit == "points" else margin
    notes = [f"margin {edge:g} {unit}".rstrip()]
    if len(cells) > 1:
        notes.append("by task: " + ", ".join(f"{t} {one.effect:+.1f}" for t, one in found.items()))
    return CheckResult(
        _runs(cells), it.effect, it.low, it.high, it.unit, p=max(one.p or 0.0 for one in found.values()), ahead=True,
        power=min(one.power or 0.0 for one in found.values()),
        detectable=max(one.detectable or 0.0 for one in found.values()),
        seeds=None if None in seeds else max(k for k in seeds if k is not None),
        note="; ".join(notes),
        decided="contradicted" if any(one.decided == "contradicted" for one in found.values()) else None,
        limits=(-edge, edge),
    )  # fmt: skip


def _equivalence(row: list[Sample], margin: float, unit: str, tasks: int) -> CheckResult:
    effect, se, df = _combined({"": row}, (1.0, -1.0))
    scale = 100.0 if unit == "points" else 1.0
    if se == 0:
        return CheckResult("", scale * effect, decided="not applicable")
    half, beyond = (float(stats.t.isf(ALPHA / 2 / k, df)) * se for k in (1, tasks))
    reach = float(stats.t.isf(ALPHA, df) + stats.t.isf((1 - POWER) / 2, df)) * se
    return CheckResult(
        "", scale * effect, scale * (effect - half), scale * (effect + half), unit,
        p=float(stats.t.sf((margin - abs(effect)) / se, df)),
        power=max(0.0, float(2 * stats.t.cdf(margin / se - stats.t.isf(ALPHA, df), df) - 1)), detectable=scale * reach,
        seeds=_more(max(sample.n for sample in row), reach / margin),
        decided="contradicted" if abs(effect) - beyond > margin else None,
    )  # fmt: skip


def _same_runs(first: Sample, second: Sample) -> int:
    """Return how many runs of two arms, in the order of their seeds, do not fail and end with the same score."""
    if not (first.known and second.known and first.n == second.n):
        return 0
    return int(np.count_nonzero((first.values == second.values) & ~first.failed & ~second.failed))


def spread(cells: Cells, *, higher: bool = False, interest: float = 1.5) -> CheckResult:
    r"""Test whether the first arm of each cell spreads less (or more) than the second; the effect is the SD ratio.

    One task: Brown-Forsythe, with the interval that inverts Bonett's test.  Several: the geometric mean of the
    ratios, tested by permuting, within each task, the scores after each arm's median is taken away, with the statistic
    :math:`|\sum_t \log(s_{t1}^2 / s_{t2}^2)|`; its interval takes the tasks' standard errors as independent.
    Summaries: the normal theory of :math:`\log s`, said in the note.

    The note tells the means of both arms, and for a single task both SDs and the inverse ratio, as published tables
    print it, with a BCa bootstrap interval.

    Failures come first: a task where an arm fails in 90 % of its runs or more, or scores on average no better than a
    constant guess, is left out (such runs spread little, which is not stability), and with failed runs among the others
    the interval is withheld.
    interest : the smallest ratio of the larger to the smaller SD worth knowing, above 1.
    """
    used = {t: pair for t, pair in cells.items() if all(s.failures < COLLAPSED * s.n and s.learned for s in pair)}
    lost = ", ".join(t for t in cells if t not in used)
    notes = [f"left out, since an arm learned nothing or at least 90 % of its runs fail: {lost}"]
    notes = notes if len(used) < len(cells) else []
    if not used:
        return CheckResult(_runs(cells), unit="SD ratio", note=notes[0], decided="not applicable")
    flat = [t for t, (a, b) in used.items() if a.sd == 0 or b.sd == 0]
    if flat:
        note = f"no ratio: an arm has no spread on {', '.join(flat)}"
        return CheckResult(_runs(cells), unit="SD ratio", note=note, decided="not applicable")
    logs = np.array([math.log(a.sd / b.sd) for a, b in used.values()])
    se = math.sqrt(sum(_log_se(a, b) ** 2 for a, b in used.values())) / len(used)
    ratio = math.exp(float(logs.mean()))
    first, second = next(iter(used.values()))
    runs = max(first.n, second.n)
    if len(used) == 1 and first.known:
        p = brown_forsythe(first.values, second.values).p
        found = sd_ratio(first.values, second.values)
        low, high = found.low, found.high
        notes.append(_inverse(first, second))
        reach = minimal_detectable_ratio(first.n, second.n, ALPHA, POWER)
        detectable = reach.above if higher else reach.below
        power, seeds = brown_forsythe_power(interest, runs, runs, ALPHA), seeds_for_ratio(interest, ALPHA, POWER)
    else:
        z = float(stats.norm.isf(ALPHA / 2))
        notes.append("; ".join(f"{t}: {_means(*pair)}" for t, pair in used.items()))
        if all(a.known for a, _ in used.values()):
            p = _permuted([(a.values, b.values) for a, b in used.values()])
        else:
            p = float(2 * stats.norm.sf(abs(logs.mean()) / se))
            notes.append("from published SDs, taken as those of normal scores")
        low, high = (math.exp(float(logs.mean()) + sign * z * se) for sign in (-1, 1))
        far = (z + float(stats.norm.ppf(POWER))) * se
        detectable = math.exp(far if higher else -far)
        power = float(stats.norm.cdf(math.log(interest) / se - z))
        seeds = _more(runs, far / math.log(interest))
    if any(s.failures for pair in used.values() for s in pair):
        low = high = None
        notes.append("interval withheld, and power told for scores without failures: runs failed")
    if p is None:
        return CheckResult(
            _runs(used), ratio, unit="SD ratio", note="; ".join([*notes, "no test"]), decided="not detected"
        )
    return CheckResult(
        _runs(used), ratio, low, high, "SD ratio", p=p, ahead=(ratio > 1) == higher, power=power,
        detectable=detectable, seeds=seeds, note="; ".join(note for note in notes if note),
    )  # fmt: skip


def failures(cells: Cells, *, higher: bool = False, interest: float = 0.3) -> CheckResult:
    """Test whether the first arm of each cell fails less (or more) often than the second; the effect is a difference.

    Exact and conditional on the failures of each task: the sum of the first arm's failures over tasks, each
    hypergeometric, two-sided by probability; with one task it is Fisher's test.  The interval combines Wilson limits
    (Newcombe 1998), over tasks by squaring and adding.

    A task where neither arm scores on average above a constant guess is left out: there it is chance which runs end
    below the guess, and nobody avoids a failure.
    interest : the smallest difference of the failure rates worth knowing.
    """
    for task, pair in cells.items():
        if not all(s.known for s in pair):
            raise UserError(f"{task}: failed runs were not published; a check of failures needs single runs")
    lost = [t for t, pair in cells.items() if not any(s.learned for s in pair)]
    notes = [f"left out, since neither arm learned anything: {', '.join(lost)}"] if lost else []
    if len(lost) == len(cells):
        return CheckResult(_runs(cells), unit="failure rate", note=notes[0], decided="not applicable")
    cells = {t: pair for t, pair in cells.items() if t not in lost}
    k = len(cells)
    parts = [risk_difference(a.failures, a.n, b.failures, b.n) for a, b in cells.values()]
    estimates = [part.estimate or 0.0 for part in parts]
    effect = float(np.mean(estimates))
    low = effect - math.sqrt(sum((d - (part.low or 0.0)) ** 2 for d, part in zip(estimates, parts, strict=True))) / k
    high = effect + math.sqrt(sum(((part.high or 0.0) - d) ** 2 for d, part in zip(estimates, parts, strict=True))) / k
    n_a, n_b = (sum(pair[i].n for pair in cells.values()) for i in (0, 1))
    failed_a, failed_b = (sum(pair[i].failures for pair in cells.values()) for i in (0, 1))
    rate = failed_b / n_b
    target = min(1.0, rate + interest) if higher else max(0.0, rate - interest)
    reach = minimal_detectable_rate(n_a, n_b, rate, ALPHA, POWER)
    limit = reach.above if higher else reach.below
    seeds = seeds_for_rates(target, rate, ALPHA, POWER) if target != rate else None
    notes.append(f"failed: {failed_a} of {n_a} against {failed_b} of {n_b}")
    return CheckResult(
        _runs(cells), effect, max(low, -1.0), min(high, 1.0), "failure rate",
        p=exact_failures([(a.failures, a.n, b.failures, b.n) for a, b in cells.values()]),
        ahead=effect != 0 and (effect > 0) == higher, power=fisher_power(target, rate, n_a, n_b, ALPHA),
        detectable=None if limit is None else limit - rate, seeds=None if seeds is None else -(-seeds // k),
        note="; ".join(notes),
    )  # fmt: skip


def exact_failures(tables: Sequence[tuple[int, int, int, int]]) -> float:
    """Return the exact two-sided p of equal failure rates within each of several tables (failed, n, failed, n).

    >>> from stabilitybench.statistics import fisher
    >>> abs(exact_failures([(1, 20, 16, 20)]) - fisher(1, 20, 16, 20).p) < 1e-12
    True
    """
    mass, lowest = np.ones(1), 0
    for failed_a, n_a, failed_b, n_b in tables:
        total = failed_a + failed_b
        support = np.arange(max(0, total - n_b), min(n_a, total) + 1)
        mass = np.convolve(mass, stats.hypergeom.pmf(support, n_a + n_b, total, n_a))
        lowest += int(support[0])
    observed = mass[sum(table[0] for table in tables) - lowest]
    return min(1.0, float(mass[mass <= observed * (1 + 1e-7)].sum()))


def differ(cells: Cells, *, interest: float, unit: str) -> CheckResult:
    """Test whether the means of the arms differ at all, by Welch's analysis of variance; the effect is their range.

    Supported where it rejects; there is no direction to contradict.  Takes one task.
    """
    from statsmodels.stats.oneway import anova_oneway

    arms = _only(cells)
    if any(s.sd == 0 for s in arms):
        note = "no test: an arm has no spread"
        return CheckResult(_runs(cells), unit=unit, note=note, decided="not applicable")
    p = float(anova_oneway([s.values for s in arms], use_var="unequal").pvalue)
    means = [s.mean for s in arms]
    scale = 100.0 if unit == "points" else 1.0
    # the two extreme arms at a distance, the others half-way: the least favourable arrangement
    pooled, k, n = math.sqrt(float(np.mean([s.sd**2 for s in arms]))), len(arms), min(s.n for s in arms)

    def power(distance: float, runs: int) -> float:
        critical = stats.f.isf(ALPHA, k - 1, k * (runs - 1))
        return float(stats.ncf.sf(critical, k - 1, k * (runs - 1), runs * distance**2 / (2 * pooled**2)))

    grid = np.linspace(0, 8 * pooled, 801)[1:]
    reach = next((float(d) for d in grid if power(float(d), n) >= POWER), None)
    seeds = next((m for m in range(2, 2000) if power(interest, m) >= POWER), None)
    return CheckResult(
        _runs(cells), scale * (max(means) - min(means)), unit=unit, p=p, ahead=True, power=power(interest, n),
        detectable=None if reach is None else scale * reach, seeds=seeds,
        note="means " + ", ".join(f"{scale * m:.1f}" for m in means),
    )  # fmt: skip


def best_of(cells: Cells, *, interest: float, unit: str) -> CheckResult:
    """Test whether some arm is better than the last one, the others compared with it and Holm's adjustment over them.

    The finding is that of the surest arm among those that are ahead, with its p adjusted over the arms.  Where none is
    ahead it is that of the arm nearest to the last, with the largest p of all: every arm must be worse for the claim to
    be contradicted.
    """
    from stabilitybench.statistics import holm

    count = len(next(iter(cells.values()))) - 1
    found = [
        contrast({t: [row[i], row[-1]] for t, row in cells.items()}, (1, -1), interest=interest, unit=unit)
        for i in range(count)
    ]
    if any(f.p is None for f in found):
        return next(f for f in found if f.p is None)
    adjusted = holm({i: f.p for i, f in enumerate(found)})
    ahead = [i for i in range(count) if found[i].ahead]
    if ahead:
        best = min(ahead, key=lambda i: (found[i].p, -(found[i].effect or 0.0)))
        return replace(found[best], p=adjusted[best], note=f"one of {count} arms, Holm's adjustment over them")
    nearest = max(range(count), key=lambda i: found[i].effect or 0.0)
    return replace(found[nearest], p=max(f.p or 0.0 for f in found), note=f"all {count} arms lie below")


def _combined(cells: Cells, weights: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean weighted sum over tasks, its standard error and the degrees of freedom."""
    k = len(cells)
    if k == 0 or any(len(row) != len(weights) for row in cells.values()):
        raise UserError(f"weights = {list(weights)}: must be one per arm")
    effect = sum(w * s.mean for row in cells.values() for w, s in zip(weights, row, strict=True)) / k
    parts = [(w * s.sd / k) ** 2 / s.n for row in cells.values() for w, s in zip(weights, row, strict=True)]
    sizes = [s.n - 1 for row in cells.values() for s in row]
    variance = sum(parts)
    below = sum(v**2 / m for v, m in zip(parts, sizes, strict=True))
    return effect, math.sqrt(variance), variance**2 / below if below > 0 else 1.0


def _log_se(first: Sample, second: Sample) -> float:
    """Return the standard error of the log SD ratio: Bonett's, or that of normal scores where only SDs are known."""
    if first.known and second.known:
        found = sd_ratio(first.values, second.values).log_se
        if found:
            return found
    return math.sqrt(1 / (2 * (first.n - 1)) + 1 / (2 * (second.n - 1)))


def _inverse(first: Sample, second: Sample) -> str:
    said = f"SDs {100 * first.sd:.2g} and {100 * second.sd:.2g} points, {_means(first, second)}; second over first"
    if first.failures or second.failures:
        return f"{said} {second.sd / first.sd:.3g}"
    found = sd_ratio(second.values, first.values, interval="bca", rng=np.random.default_rng(0))
    limits = "" if found.low is None or found.high is None else f", BCa [{found.low:.2f}, {found.high:.2f}]"
    return f"{said} {second.sd / first.sd:.2f}{limits}"


def _means(first: Sample, second: Sample) -> str:
    """Say both levels: a method may spread less because it learns less."""
    return f"means {100 * first.mean:.1f} and {100 * second.mean:.1f}"


def _permuted(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    rng = np.random.default_rng(_ENTROPY)
    observed, drawn = 0.0, np.zeros(DRAWS)
    for first, second in pairs:
        n = len(first)
        # sorted, so that the order of the runs does not matter
        squares = np.concatenate([(np.sort(x) - np.median(x)) ** 2 for x in (first, second)])
        order = np.argsort(rng.random((DRAWS, len(squares))), axis=1)
        sums = squares[order[:, :n]].sum(axis=1)
        parts = _log_odds(np.append(sums, squares[:n].sum()), float(squares.sum()), n, len(second))
        observed += float(parts[-1])
        drawn += parts[:-1]
    return float((1 + np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-12)) / (1 + DRAWS))


def _log_odds(part: Floats, total: float, n: int, m: int) -> Floats:
    tiny = total * 1e-12  # a part without any spread stays finite, so that tasks still add up
    share: Floats = np.log(np.maximum(part, tiny) / (n - 1)) - np.log(np.maximum(total - part, tiny) / (m - 1))
    return share


def _more(n: int, factor: float) -> int | None:
    """Return the runs per arm with which a reach `factor` times the effect of interest becomes that effect."""
    wanted = n * factor**2
    return math.ceil(wanted) if math.isfinite(wanted) and wanted < 1e6 else None


def _only(cells: Cells) -> list[Sample]:
    if len(cells) != 1:
        raise UserError(f"{len(cells)} tasks: this rule takes exactly one")
    return next(iter(cells.values()))


def _runs(cells: Cells) -> str:
    rows = [" + ".join(str(s.n) for s in row) for row in cells.values()]
    same = rows[0] if len(set(rows)) == 1 else "; ".join(rows)
    return same if len(rows) == 1 or len(set(rows)) > 1 else f"{len(rows)} x ({same})"
