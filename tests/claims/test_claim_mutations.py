"""Every claim of the project's file, with evidence that was tampered with: the verdict must follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stabilitybench.claims import Sample, decide, judge, kept_tables, read_claims
from stabilitybench.claims.rules.moves import moves

ARMS = ("contrast", "spread", "failures", "few-trials")


@pytest.fixture(scope="module")
def tables():
    return kept_tables()


def pairs(check):
    """Which arm takes whose place when the arms are swapped; None where no swap turns the effect round."""
    if check.rule == "few-trials":
        return None  # a margin: each arm may keep it towards the other
    if check.rule != "contrast":
        return [(0, 1)]
    if check.null:
        return None
    up = [i for i, w in enumerate(check.weights) if w > 0]
    down = [i for i, w in enumerate(check.weights) if w < 0]
    if [check.weights[i] for i in up] != [-check.weights[i] for i in down]:
        return None  # a share of another arm, or a difference of differences with unequal weights
    return list(zip(up, down, strict=True))


def swapped(cells, places):
    out = {}
    for task, row in cells.items():
        row = list(row)
        for i, j in places:
            row[i], row[j] = row[j], row[i]
        out[task] = row
    return out


def moved(sample, by):
    return replace(sample, mean=sample.mean + by, values=sample.values + by)


def stretched(sample, factor):
    """Stretch a sample about its median."""
    if not sample.known:
        return replace(sample, sd=sample.sd * factor)
    middle = np.median(sample.values)
    return Sample.of(middle + (sample.values - middle) * factor, sample.failed)


def with_effect(check, cells, effect):
    """The cells with exactly this effect (difference from null, SD ratio, or difference of failure rates)."""
    out = {}
    for task, row in cells.items():
        first, *rest = row
        if check.rule == "contrast":
            now = sum(w * s.mean for w, s in zip(check.weights, row, strict=True))
            first = moved(first, (check.null + effect - now) / check.weights[0])
        elif check.rule == "spread":
            first = stretched(rest[0], effect)  # the same shape: spread alone differs
        elif check.rule == "failures":
            rate = min(1.0, max(0.0, rest[0].failures / rest[0].n + effect))
            first = replace(first, failed=np.arange(first.n) < round(rate * first.n))
        else:  # few-trials: as many runs reach the best of the second arm as make the chance one half and `effect`
            one = 1 - (1 - min(1.0, 0.5 + effect)) ** (1 / check.budgets[0])
            best = rest[0].values.max()
            first = Sample.of(np.where(np.arange(first.n) < round(one * first.n), best, best - 1.0))
        out[task] = [first, *rest]
    return out


def shuffled(cells, rng):
    out = {}
    for task, row in cells.items():
        values, failed = (np.concatenate([getattr(s, name) for s in row]) for name in ("values", "failed"))
        order = rng.permutation(len(values))
        cuts = np.cumsum([s.n for s in row])[:-1]
        parts = zip(np.split(values[order], cuts), np.split(failed[order], cuts), strict=True)
        out[task] = [Sample.of(v, f) for v, f in parts]
    return out


def directed():
    claims = read_claims()
    return [
        pytest.param(claim, check, id=f"{claim.id}-{check.tier}-{check.label}".replace(" ", "_"))
        for claim in claims.claims for check in claim.checks
        if check.directed and check.verdict not in ("absent", "not applicable")
    ]  # fmt: skip


def verdict(check, cells):
    found = check.compare(cells)
    return decide(found, found.p), found


@pytest.mark.parametrize(("claim", "check"), directed())
def test_swapping_the_arms_turns_the_verdict_round(claim, check, tables):
    turned = {"supported": "contradicted", "contradicted": "supported", "not detected": "not detected"}
    table = tables[check.source]
    if check.rule == "moves":
        part = table[(table["suite"] == check.suites[0]) & (table["item"] == check.items[0])].copy()
        ends = sorted(set(part["value"]))
        now = moves(part, check.suites[0], check.items[0], rises=check.higher)
        part["value"] = part["value"].replace({ends[0]: ends[-1], ends[-1]: ends[0]})
        then = moves(part, check.suites[0], check.items[0], rises=check.higher)
        assert decide(then, then.p) == turned[decide(now, now.p)]
        return
    places = pairs(check)
    if places is None:
        pytest.skip("a threshold: no swap of arms turns it round")
    cells = check.samples(table)
    now, _ = verdict(check, cells)
    then, found = verdict(check, swapped(cells, places))
    assert then == turned[now], found


@pytest.mark.parametrize(("claim", "check"), directed())
def test_an_effect_of_zero_is_not_detected(claim, check, tables):
    table = tables[check.source]
    if check.rule == "moves":
        part = table[(table["suite"] == check.suites[0]) & (table["item"] == check.items[0])].copy()
        first = part[part["value"] == part["value"].min()].set_index("seed")["amount"]
        part["amount"] = part["seed"].map(first)
        found = moves(part, check.suites[0], check.items[0], rises=check.higher)
        assert decide(found, found.p) == "not detected"
        return
    cells = check.samples(table)
    nothing = 1.0 if check.rule == "spread" else 0.0
    tampered = with_effect(check, cells, nothing)
    now, found = verdict(check, tampered)
    assert now == "not detected", found


@pytest.mark.parametrize(("claim", "check"), directed())
def test_twice_the_detectable_effect_is_supported(claim, check, tables):
    if check.rule not in ARMS:
        pytest.skip("its effect is not a parameter of the samples")
    cells = check.samples(tables[check.source])
    if check.rule == "spread":
        cells = with_effect(check, cells, 1.0)
        if any(s.failures for row in cells.values() for s in row):
            pytest.skip("what is detectable is told for scores without failed runs")
    _, base = verdict(check, cells)
    if base.detectable is None:
        pytest.skip("no difference is detectable: the baseline hardly fails")
    sign = 1.0 if getattr(check, "higher", True) else -1.0
    if check.rule == "spread":
        effect = base.detectable**2
    elif check.rule == "failures":
        effect = 2 * base.detectable
    elif check.rule == "few-trials":
        effect = 2 * (base.detectable - 0.5)
    else:
        effect = sign * 2 * base.detectable / (100.0 if check.unit == "points" else 1.0)
    now, found = verdict(check, with_effect(check, cells, effect))
    assert now == "supported", found


def equivalences():
    return [
        pytest.param(check, id=f"{claim.id}-{check.label}".replace(" ", "_"))
        for claim in read_claims().claims for check in claim.checks
        if check.rule == "equivalence" and check.verdict not in ("absent", "not applicable")
    ]  # fmt: skip


@pytest.mark.parametrize("check", equivalences())
def test_equal_arms_are_equivalent_where_they_can_be_seen_to_be_and_distant_ones_never(check, tables):
    cells = check.samples(tables[check.source])
    equal = {t: [replace(b, values=b.values[::-1]), b] for t, (_, b) in cells.items()}
    now, found = verdict(check, equal)
    scale = 100.0 if check.unit == "points" else 1.0
    assert now != "contradicted", found
    if found.detectable < 0.8 * scale * check.margin:
        assert now == "supported", found
    far = {t: [moved(b, check.margin + found.detectable / scale), b] for t, (_, b) in cells.items()}
    assert verdict(check, far)[0] == "contradicted"


@pytest.mark.slow
@pytest.mark.parametrize(("claim", "check"), directed())
def test_shuffled_labels_are_not_detected(claim, check, tables):
    if (
        check.rule not in ARMS
        or check.rule == "few-trials"
        or (check.rule == "contrast" and (check.null or abs(sum(check.weights)) > 1e-9))
    ):
        pytest.skip("no exchange of labels makes its arms alike")
    if any("[" in arm for arm in check.arms):
        pytest.skip("its arms are told apart by the outcome")
    cells = check.samples(tables[check.source])
    if not all(s.known for row in cells.values() for s in row):
        pytest.skip("single runs were not published")
    rng = np.random.default_rng(0)
    found = [verdict(check, shuffled(cells, rng))[0] for _ in range(15)]
    assert found.count("supported") + found.count("contradicted") <= 4, found


@pytest.mark.slow
def test_all_verdicts_are_those_on_record(tables):
    claims = read_claims()
    judged = judge(claims, tables)
    assert [j.name for j in judged if not j.as_recorded] == []
    assert len(judged) >= 30
