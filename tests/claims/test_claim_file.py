"""The file of claims, the tables, the verdicts drawn from them, and the page."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stabilitybench.claims import MissingEvidence, cells, judge, kept_tables, read_claims, read_table
from stabilitybench.claims.evidence import RUN_COLUMNS, Sample
from stabilitybench.claims.page import export, headline, verdict_frame, verdicts_markdown
from stabilitybench.claims.real_tier import ARMS, reach, real_study
from stabilitybench.claims.replay import check_planned, drifted
from stabilitybench.claims.rules import RULES
from stabilitybench.claims.rules.spread import spread
from stabilitybench.claims.schema import Claims, folder
from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError

CLAIM = """
[papers]
p = "A paper"

[[claims]]
id = "c"
family = "f"
paper = "p"
where = "table 1"
statement = "A is better."
prediction = "Higher."

[[claims.checks]]
tier = "pocket"
rule = "contrast"
tasks = ["t"]
arms = ["s/a", "s/b"]
weights = [1, -1]
higher = true
interest = 0.1
verdict = "supported"
"""


def runs(gap=0.3):
    rows = [
        {"study": "s", "task": "t", "arm": arm, "seed": k, "score": base + 0.01 * (k % 3), "failed": False}
        for arm, base in (("a", 0.5 + gap), ("b", 0.5)) for k in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def claims_of(tmp_path, text=CLAIM):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return read_claims(path)


def test_a_claim_is_judged_from_its_table(tmp_path):
    claims = claims_of(tmp_path)
    for gap, verdict in ((0.3, "supported"), (-0.3, "contradicted"), (0.0, "not detected")):
        (found,) = judge(claims, {"pocket": runs(gap)})
        assert found.verdict == verdict
        assert found.as_recorded == (verdict == "supported")
        assert found.name == "c / pocket"


def test_a_missing_table_is_absent_and_a_missing_arm_is_an_error(tmp_path):
    claims = claims_of(tmp_path)
    (found,) = judge(claims, {})
    assert found.verdict == "absent"
    assert not found.as_recorded
    with pytest.raises(MissingEvidence, match='no run of "s/b" on t'):
        judge(claims, {"pocket": runs().query("arm == 'a'")})
    # what is on record as not made yet may be missing, and says so
    open_claims = claims_of(tmp_path, CLAIM.replace('verdict = "supported"', 'verdict = "absent"'))
    (found,) = judge(open_claims, {"pocket": runs().query("arm == 'a'")})
    assert (found.verdict, found.as_recorded) == ("absent", True)


def test_holm_adjusts_within_family_tier_and_table(tmp_path):
    second = CLAIM[CLAIM.index("[[claims]]") :].replace('id = "c"', 'id = "d"')
    both = judge(claims_of(tmp_path, CLAIM + second), {"pocket": runs(0.01)})
    assert [j.adjusted for j in both] == pytest.approx([min(1.0, 2 * j.finding.p) for j in both])
    apart = judge(claims_of(tmp_path, CLAIM + second.replace('family = "f"', 'family = "g"')), {"pocket": runs(0.01)})
    assert [j.adjusted for j in apart] == pytest.approx([j.finding.p for j in apart])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("weights = [1, -1]", "weights = [1]", "must be one for each of the 2 arms"),
        ("weights = [1, -1]\n", "", "claims[0].checks[0].weights: is missing"),
        ('rule = "contrast"', 'rule = "guess"', "claims"),
        ('tier = "pocket"', 'tier = "poket"', "tier"),
        ('paper = "p"', 'paper = "q"', "is not among the papers"),
        ("interest = 0.1", "interest = 0", "interest"),
        ("interest = 0.1", "interest = 0.1\nmargin = 1.0", "margin: unknown key; must be one of tier, rule, verdict"),
        ('rule = "contrast"', 'rule = "contrasts"', 'did you mean "contrast"'),
        ('rule = "contrast"', "", "claims[0].checks[0].rule: is missing"),
        ('verdict = "supported"', "", "verdict"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, old, new, sentence):
    with pytest.raises(UserError, match=r"claims\.toml") as caught:
        claims_of(tmp_path, CLAIM.replace(old, new))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_claims_or_checks_of_one_name_are_refused(tmp_path):
    claim = CLAIM[CLAIM.index("[[claims]]") :]
    with pytest.raises(UserError, match="two claims have the id"):
        claims_of(tmp_path, CLAIM + claim)
    check = CLAIM[CLAIM.index("[[claims.checks]]") :]
    with pytest.raises(UserError, match="two checks of tier pocket"):
        claims_of(tmp_path, CLAIM + check)


def test_arms_of_other_tasks_and_parts_of_arms_are_found():
    table = runs()
    other = runs().assign(task="u (n=10)", score=0.1)
    both = pd.concat([table.assign(failed=table["seed"] < 2), other])
    found = cells(both, ["t"], ["s@u (n=10)/a", "s/a[failed]", "s/a[ok]"])["t"]
    assert [s.n for s in found] == [6, 2, 4]
    assert found[0].mean == pytest.approx(0.1)


def test_published_summaries_stand_for_runs():
    table = pd.DataFrame({"study": "z", "task": "RTE", "arm": ["a"], "n": 20, "mean": 0.7, "sd": 0.01})
    (sample,) = cells(table, ["RTE"], ["z/a"])["RTE"]
    assert (sample.n, sample.mean, sample.sd, sample.known) == (20, 0.7, 0.01, False)
    with pytest.raises(UserError, match="reported 2 times"):
        cells(pd.concat([table, table]), ["RTE"], ["z/a"])


def test_samples_refuse_what_is_no_sample():
    for values in ([1.0], [1.0, float("nan")]):
        with pytest.raises(UserError):
            Sample.of(values)
    with pytest.raises(UserError):
        Sample.summary(1, 0.5, 0.1)


def test_a_table_without_its_columns_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("study,task\n")
    with pytest.raises(UserError, match="has no column arm, score, failed"):
        read_table(str(path), RUN_COLUMNS)
    with pytest.raises(MissingEvidence, match="no such table"):
        read_table(str(tmp_path / "none.csv"), RUN_COLUMNS)


def test_the_shipped_claims_have_what_they_need():
    claims = read_claims()
    checks = [c for claim in claims.claims for c in claim.checks]
    assert len(claims.claims) >= 30
    assert {"analytic", "numeric", "recorded", "pocket", "real"} == {c.tier for c in checks}
    assert {"supported", "contradicted", "not detected", "not applicable"} <= {c.verdict for c in checks}
    tables = kept_tables()
    # every table a decided check reads is kept
    assert {c.source for c in checks if c.source and c.verdict != "absent" and c.tier != "real"} <= set(tables)


def test_the_replication_of_fifty_seeds_is_carried_in_whole():
    table = kept_tables()["bert-large"]
    failed = table.groupby(["task", "arm"])["failed"].sum().unstack()
    assert failed["biased"].to_dict() == {"RTE": 36, "MRPC": 28, "STS-B": 6, "CoLA": 18}
    assert (failed[["debiased", "reinit"]] == 0).all(axis=None)
    sd = 100 * table.groupby(["task", "arm"])["score"].std().unstack()
    assert sd.loc["RTE"].round(1).to_dict() == {"biased": 7.4, "debiased": 2.9, "reinit": 1.6}
    assert sd.loc["CoLA"].round(1).to_dict() == {"biased": 29.4, "debiased": 1.7, "reinit": 1.6}
    assert (sd["debiased"] / sd["reinit"]).round(2).to_dict() == {
        "RTE": 1.83, "MRPC": 1.91, "STS-B": 1.95, "CoLA": 1.05,
    }  # fmt: skip


def test_reinitialisation_does_not_show_on_cola():
    claims, tables = read_claims(), kept_tables()
    check = next(
        c for claim in claims.claims if claim.id == "zhang-reinit-spread"
        for c in claim.checks if c.tier == "recorded" and c.label == "CoLA"
    )  # fmt: skip
    found = check.examine(tables)
    assert check.verdict == "not detected"
    assert found.p > 0.5
    assert "second over first 1.05, BCa [0.79, 1.40]" in found.note


def test_the_page_has_every_check_and_one_figure_per_claim(tmp_path):
    claims = claims_of(tmp_path)
    judged = judge(claims, {"pocket": runs()})
    paths = export(claims, judged, tmp_path / "out")
    page = paths.html.read_text("utf-8")
    assert page.count("data:image/svg+xml") == 1
    assert "A is better." in page
    text = verdicts_markdown(claims, judged)
    assert text == verdicts_markdown(claims, judged)
    assert "| c | pocket |" in text
    assert headline(judged) == "1 claims, 1 checks: 1 supported"
    assert verdict_frame(judged)["verdict"].tolist() == ["supported"]
    assert pd.read_csv(paths.csv)["effect"].tolist() == pytest.approx([30.0])


def test_names_in_a_file_of_claims_cannot_become_markup(tmp_path):
    claims = claims_of(tmp_path, CLAIM.replace("A is better.", "<script>alert(1)</script>"))
    judged = judge(claims, {"pocket": runs()})
    paths = export(claims, judged, tmp_path / "out")
    assert "<script>alert" not in paths.html.read_text("utf-8")
    assert "<script>alert" not in paths.markdown.read_text("utf-8")


def test_the_study_of_a_real_encoder_declares_its_arms(tmp_path):
    study = real_study("pocket/bert-small", "pocket/sentiment", 3, tmp_path, rows=64, rate=1e-3)
    planned = study.plan()
    assert {run.arm for run in planned} == set(ARMS)
    assert len(planned) == 3 * len(ARMS)
    compared = {a.removeprefix("real/") for claim in read_claims().claims for c in claim.checks
                if c.tier == "real" for a in c.arms}  # fmt: skip
    assert compared == set(ARMS)


def test_only_the_arms_asked_for_are_trained_and_half_of_any_encoder_is_frozen(tmp_path):
    study = real_study("pocket/bert-deep", "pocket/sentiment", 3, tmp_path, arms=["freeze"])
    assert {run.arm for run in study.plan()} == {"debiased-adam", "freeze"}
    frozen = next(run.spec.stabilizers for run in study.plan() if run.arm == "freeze")
    assert frozen[0].layers == load_encoder("pocket/bert-deep").layout.depth // 2


def test_runs_made_again_may_move_within_their_interval_and_no_verdict_may_turn(tmp_path):
    claims = claims_of(tmp_path, CLAIM)
    then = judge(claims, {"pocket": runs()})[0]
    assert then.verdict == "supported"
    assert drifted(then, then) == ""
    elsewhere = replace(then, finding=replace(then.finding, effect=then.finding.high + 0.01))
    assert "lies outside" in drifted(then, elsewhere)
    without = replace(then, finding=replace(then.finding, low=None, high=None))
    assert drifted(without, elsewhere) == ""
    assert "contradicted on record" in drifted(without, replace(then, verdict="contradicted"))
    assert drifted(without, replace(then, verdict="not detected")) == ""


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("score", "<script>", "score holds something that is no number"),
        ("failed", None, "failed must be True or False in every row"),
        ("seed", 0, "a run stands twice in it"),
    ],
)
def test_a_table_with_a_wrong_cell_is_refused_in_one_sentence(tmp_path, column, value, said):
    table = pd.DataFrame(
        {"study": "s", "task": "t", "arm": "a", "seed": [0, 1, 2], "score": [0.1, 0.2, 0.3], "failed": False}
    ).astype(object)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=said):
        read_table(str(tmp_path / "t.csv"), RUN_COLUMNS)


def test_a_kept_run_that_its_study_file_does_not_plan_any_more_is_missed(tmp_path):
    kept = kept_tables()["pocket"]
    part = kept[kept["study"] == "size"]
    text = (folder() / "studies/size.toml").read_text("utf-8")
    (tmp_path / "size.toml").write_text(text)
    check_planned(part, tmp_path, tmp_path / "store")
    (tmp_path / "size.toml").write_text(text.replace("epochs = 9", "epochs = 8"))
    with pytest.raises(MissingEvidence, match="study size: 20 of 40 kept runs are not planned any more"):
        check_planned(part, tmp_path, tmp_path / "store")


def test_an_arm_at_the_level_of_a_constant_guess_has_no_spread_to_compare():
    rng = np.random.default_rng(0)
    learned, guess = rng.normal(0.4, 0.1, 20), rng.normal(0.0, 0.02, 20)
    table = pd.DataFrame({
        "study": "s", "task": "t", "arm": ["a"] * 20 + ["b"] * 20, "seed": [*range(20)] * 2,
        "score": [*learned, *guess], "no_skill": 0.0, "failed": False,
    })  # fmt: skip
    found = spread(cells(table, ["t"], ["s/a", "s/b"]))
    assert found.decided == "not applicable"
    assert "learned nothing" in found.note
    assert spread(cells(table.assign(no_skill=-1.0), ["t"], ["s/a", "s/b"])).decided is None


def test_five_runs_show_little_and_say_so():
    said = reach(5)
    assert len(said) == 3
    assert "5 runs per arm" in said[0]
    assert "an SD ratio of 1.56" in reach(50)[0]


def test_a_check_knows_its_table_and_unit():
    raw = {
        "tier": "numeric", "rule": "moves", "verdict": "supported", "suites": ["head-n"], "items": ["data"],
        "higher": False,
    }  # fmt: skip
    assert RULES["moves"].model_validate(raw).source == "suites"
    assert Claims.model_fields.keys() == {"papers", "claims"}
