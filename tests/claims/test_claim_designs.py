"""Crossed seeds, budgets, early dropping, agreement of measures, suites and closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stabilitybench.claims import MissingEvidence, Sample, decide, kept_tables
from stabilitybench.claims.closed_forms import FORMS, kept_form
from stabilitybench.claims.rules.bound import holds
from stabilitybench.claims.rules.comparable import comparable
from stabilitybench.claims.rules.early_dropping import early_dropping
from stabilitybench.claims.rules.few_trials import few_trials
from stabilitybench.claims.rules.matters import matters
from stabilitybench.claims.rules.mean_bound import exceeds
from stabilitybench.claims.rules.measures import measures_agree
from stabilitybench.claims.rules.moves import moves
from stabilitybench.errors import UserError


def verdict_of(found):
    return decide(found, found.p)


def crossed(first, second, seed=0, size=8):
    rng = np.random.default_rng(seed)
    return (
        first * rng.standard_normal((size, 1)) + second * rng.standard_normal((1, size)) + rng.normal(size=(size, size))
    )


@pytest.mark.parametrize(("first", "second", "verdict"), [(3, 3, "supported"), (30, 0.3, "contradicted")])
def test_factors_are_comparable_or_not(first, second, verdict):
    found = comparable(crossed(first, second, seed=3, size=25), margin=3.0)
    assert verdict_of(found) == verdict


def test_eight_levels_cannot_tell_everything():
    found = comparable(crossed(1, 1, seed=1, size=3), margin=1.2)
    assert verdict_of(found) == "not detected"
    assert found.detectable > 1.2


def test_a_factor_without_effect_is_not_detected():
    found = matters(crossed(0, 3, seed=1), factor=0, interest=0.5)
    assert verdict_of(found) == "not detected"
    found = matters(crossed(0, 3, seed=1), factor=1, interest=0.5)
    assert verdict_of(found) == "supported"


def test_two_factors_that_do_nothing_are_not_alike():
    assert verdict_of(comparable(crossed(0, 0, seed=2, size=12), margin=3.0)) == "not applicable"


def reaching(count, n, best=0.7):
    """Runs of which `count` reach the best of the others, to within a point."""
    return Sample.of(np.where(np.arange(n) < count, best - 0.005, best - 0.2) + np.linspace(0, 1e-4, n))


def test_the_chance_of_a_few_trials_is_that_of_the_binomial():
    many = Sample.of(np.linspace(0.3, 0.7, 50))
    found = few_trials(reaching(10, 50), many, budgets=[5, 50], margin=0.01, interest=0.3)
    assert found.effect == pytest.approx(1 - 0.8**5)
    limits = stats.binomtest(10, 50).proportion_ci(0.95)
    assert (found.low, found.high) == pytest.approx((1 - (1 - limits.low) ** 5, 1 - (1 - limits.high) ** 5))
    assert found.p == pytest.approx(stats.binomtest(10, 50, 1 - 0.5**0.2).pvalue)
    assert "10 of 50 runs come within 1 points" in found.note


@pytest.mark.parametrize(("count", "verdict"), [(0, "contradicted"), (7, "not detected"), (20, "supported")])
def test_a_few_trials_match_many_or_do_not(count, verdict):
    many = Sample.of(np.linspace(0.3, 0.7, 50))
    assert verdict_of(few_trials(reaching(count, 50), many, budgets=[5, 50], margin=0.01, interest=0.3)) == verdict


def test_few_trials_keep_their_level():
    """The exact size at a chance of one half: runs reach the goal independently, each with the same probability."""
    many, one, rejected = Sample.of(np.linspace(0.3, 0.7, 50)), 1 - 0.5**0.2, 0.0
    for count in range(51):
        found = few_trials(reaching(count, 50), many, budgets=[5, 50], margin=0.01, interest=0.3)
        rejected += stats.binom.pmf(count, 50, one) * (verdict_of(found) != "not detected")
    assert 0.01 < rejected <= 0.05


def test_the_best_of_many_is_taken_of_as_many_as_the_claim_says():
    with pytest.raises(MissingEvidence, match="20 runs to take the best of"):
        few_trials(reaching(3, 20), reaching(3, 20), budgets=[5, 50], margin=0.01, interest=0.3)


def test_dropping_early_pays_where_an_early_reading_tells_and_not_where_it_does_not():
    rng = np.random.default_rng(0)
    final = np.where(rng.random(40) < 0.6, 0.5, rng.normal(0.7, 0.03, 40))
    telling = early_dropping(
        final + rng.normal(0, 0.01, 40), final, started=8, dropped=5, fraction=0.4, interest=0.02, unit="points"
    )
    blind = early_dropping(rng.normal(size=40), final, started=8, dropped=5, fraction=0.4, interest=0.02, unit="points")
    assert telling.effect > 0 > blind.effect
    with pytest.raises(UserError, match="whole runs"):
        early_dropping(final, final, started=8, dropped=4, fraction=0.4, interest=0.02, unit="points")


def test_agreement_of_measures_is_seen_where_it_grows_with_the_spread():
    rng = np.random.default_rng(0)
    groups = {}
    for k in range(12):
        # each run leaves the common prediction on a share of the examples; scores follow it the closer, the larger k
        share = 0.05 + 0.3 * rng.random(20)
        predicted = (rng.random((20, 300)) < share[:, None]).astype(int)
        groups[str(k)] = (predicted, k * share + rng.normal(0, 1, 20))
    found = measures_agree(groups, interest=0.5)
    assert -1 <= found.low <= found.effect <= found.high <= 1
    assert found.ahead == (found.effect > 0)
    few = dict(list(groups.items())[:3])
    assert measures_agree(few, interest=0.5).decided == "not applicable"


def suite(last, *, violations=0, checks=50, n=10):
    rows = []
    rng = np.random.default_rng(0)
    for seed in range(n):
        first = 1 + 0.1 * rng.random()
        for value, amount in ((1.0, first), (2.0, first * last)):
            rows.append(("s", value, seed, "measured", "data", amount, None, None, None))
            rows.append(("s", value, seed, "bound", "B", 2 * amount, amount, checks, violations))
    names = ["suite", "value", "seed", "kind", "item", "amount", "measured", "checks", "violations"]
    return pd.DataFrame(rows, columns=names)


def test_a_suite_moves_the_predicted_way_or_the_other_or_not():
    for last, verdict in ((0.5, "supported"), (2.0, "contradicted"), (1.05, "not detected")):
        found = moves(suite(last), "s", "data", rises=False)
        assert verdict_of(found) == verdict
        assert found.effect == pytest.approx(last)
    assert found.p == pytest.approx(stats.binomtest(10, 10).pvalue)


def test_a_single_violation_contradicts_a_bound():
    assert verdict_of(holds(suite(1.0), ["s"], ["B"])) == "supported"
    assert verdict_of(holds(suite(1.0, violations=1), ["s"], ["B"])) == "contradicted"


def test_a_bound_on_the_mean_is_supported_contradicted_or_open():
    table = suite(1.0)
    assert verdict_of(exceeds(table, "s", "B")) == "supported"
    above = table.assign(amount=table["amount"].where(table["kind"] != "bound", table["amount"] / 4))
    assert verdict_of(exceeds(above, "s", "B")) == "contradicted"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: moves(suite(1.0), "other", "data", rises=True),
        lambda: moves(suite(1.0, n=4), "s", "data", rises=True),
        lambda: holds(suite(1.0), ["s"], ["none"]),
        lambda: holds(suite(1.0, checks=1), ["s"], ["B"]),
        lambda: exceeds(suite(1.0), "s", "none"),
    ],
)
def test_too_little_evidence_is_an_error(ask):
    with pytest.raises(MissingEvidence):
        ask()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_closed_form_is_decided_and_kept_with_its_verdict(name):
    found, kept = FORMS[name](), kept_form(kept_tables()["closed-forms"], name)
    assert found.decided in ("supported", "contradicted", "not applicable")
    assert kept.decided == found.decided


def test_the_kept_table_of_closed_forms_has_every_form_once():
    assert kept_tables()["closed-forms"]["form"].tolist() == list(FORMS)


def test_the_largest_update_ratio_is_where_papers_say():
    found = FORMS["update-ratio"]()
    assert found.effect == pytest.approx(6.57, abs=0.005)
    assert "step 12" in found.note


def test_an_unknown_form_is_named():
    with pytest.raises(UserError, match='did you mean "update-ratio"'):
        kept_form(kept_tables()["closed-forms"], "update-rate")


def test_a_kept_closed_form_with_a_verdict_of_its_own_is_refused():
    table = kept_tables()["closed-forms"].replace("supported", "proven")
    with pytest.raises(UserError, match='verdict = "proven": must be one of supported'):
        kept_form(table, "mixout-mean")
