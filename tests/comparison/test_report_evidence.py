"""What a report shows beyond each task's comparison: all tasks, level, predictions, components, LaTeX, every score."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from stabilitybench.comparison import compare, write_report
from stabilitybench.comparison.across_tasks import over_tasks
from stabilitybench.comparison.agreement import agreements
from stabilitybench.comparison.score_table import check_scores
from stabilitybench.comparison.tables.evidence import across_tasks, components, crossed_streams, levels
from stabilitybench.comparison.tables.scores import two_parts
from stabilitybench.documents.latex import escape
from stabilitybench.errors import UserError
from stabilitybench.instability import disagreement
from stabilitybench.statistics import paired_deviation_ratio, sd_ratio
from stabilitybench.statistics.components import variance_components
from stabilitybench.statistics.level import probability_of_improvement
from stabilitybench.statistics.location import expected_best
from stabilitybench.statistics.location import levels as level_of
from stabilitybench.statistics.random_effects import meta_analysis
from support.score_frames import NO_SKILL, facts, study_frames

RNG = np.random.default_rng(5)
TASKS = ("rte", "cola", "mrpc", "stsb")
ARMS = ("plain", "calm", "wild")
SDS = {"plain": 0.02, "calm": 0.01, "wild": 0.03}
CELLS = {(t, a): RNG.normal(0.7 + 0.03 * k, SDS[a], 20) for k, t in enumerate(TASKS) for a in ARMS}


def frames(cells: dict[tuple[str, str], np.ndarray] = CELLS) -> tuple[pd.DataFrame, pd.DataFrame]:
    return study_frames(cells, evaluations=2)


def table_of(table, *columns: str) -> list[dict[str, str]]:
    keys = {c.title: c.key for c in table.columns}
    return [{c: row[keys[c]].text for c in columns} for row in table.rows]


def predictor(scores: pd.DataFrame, rows: int = 40, classes: int = 2):
    """Return stored predictions that the run ids determine: failed runs always say 0."""
    failed = dict(zip(scores["run_id"], scores["failed"], strict=True))

    def predictions(run_id: str) -> pd.DataFrame:
        rng = np.random.default_rng(int(run_id[:4], 16))
        logits = rng.normal(0, 1, (2 * rows, classes))
        if failed[run_id]:
            logits[:, 0] = 9.0
        columns = {f"logit_{k}": logits[:, k] for k in range(classes)}
        split = ["test"] * rows + ["validation"] * rows
        return pd.DataFrame({"split": split, "checkpoint": "last", "row": range(2 * rows), "label": 1, **columns})

    return predictions


class Parts(HTMLParser):
    """Reads a page: sections in order, ids, links, tables by id, images, whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sections: list[str] = []
        self.images: list[dict[str, str]] = []
        self.tables: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.sections += [values["id"]] if tag == "section" else []
        self.tables += [values["id"]] if tag == "table" else []
        self.images += [values] if tag == "img" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    cells = dict(CELLS)
    cells["cola", "wild"] = np.where(np.arange(20) < 3, NO_SKILL, cells["cola", "wild"])
    scores, curves = frames(cells)
    folder = tmp_path_factory.mktemp("evidence")
    write_report(scores, curves, facts("all", "plain", ARMS), folder, predictor(scores))
    return folder, scores


def test_every_section_is_there_and_in_the_contents(written: tuple[Path, pd.DataFrame]) -> None:
    text = (written[0] / "report.html").read_text("utf-8")
    page = Parts(text)
    assert page.sections == [
        "verdicts", "figures", "failures-and-spread", "performance-part", "across-tasks", "predictions",
        "seed-selection", "pairs", "coverage-part", "failed", "methods", "spec", "environment", "glossary", "data",
    ]  # fmt: skip
    assert len(page.ids) == len(set(page.ids))
    assert set(page.sections) <= {link.removeprefix("#") for link in page.links}
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    for table in ("summary", "failures", "spread", "two-part", "performance", "across", "instability", "every-run"):
        assert table in page.tables


def test_every_figure_is_valid_svg_with_words_for_those_who_cannot_see_it(written: tuple[Path, pd.DataFrame]) -> None:
    page = Parts((written[0] / "report.html").read_text("utf-8"))
    # five kinds and the heat maps for each task, one forest plot for each arm but the baseline
    assert len(page.images) == 6 * len(TASKS) + 2
    for image in page.images:
        assert image["alt"]
        svg = ElementTree.fromstring(base64.b64decode(image["src"].split(",")[1]))
        assert svg.tag.endswith("svg")
        assert not [n for n in svg.iter() if n.tag.endswith("script")]


def test_the_appendix_holds_every_score_folded_up(written: tuple[Path, pd.DataFrame]) -> None:
    folder, scores = written
    text = (folder / "report.html").read_text("utf-8")
    folded = text.partition('<section id="data">')[2]
    assert "<details>" in folded
    assert f"{len(scores)} rows, one by one" in folded
    for run in scores["run_id"]:
        assert run in folded
    assert f'data-order="{scores["score"].iloc[7]}"' in folded


def test_the_forest_summary_is_the_meta_analysis_of_the_tasks_with_an_interval() -> None:
    scores, _ = frames()
    found = {a.arm: a for a in over_tasks(compare(scores, "plain"))}
    expected = meta_analysis({t: paired_deviation_ratio(CELLS[t, "calm"], CELLS[t, "plain"]) for t in TASKS})
    sds = meta_analysis({t: sd_ratio(CELLS[t, "calm"], CELLS[t, "plain"]) for t in TASKS})
    assert found["calm"].sd_summary.estimate == pytest.approx(sds.estimate)
    got = found["calm"].summary
    assert (got.estimate, got.low, got.high) == pytest.approx((expected.estimate, expected.low, expected.high))
    row = next(
        r for r in table_of(across_tasks(list(found.values())), "arm", "tasks with interval", "deviation ratio [95 %]")
    )
    assert row["tasks with interval"] == "4/4"
    assert row["deviation ratio [95 %]"].startswith(f"{expected.estimate:.2f} [")


def test_too_few_tasks_with_an_interval_have_no_summary_and_say_why() -> None:
    cells = {k: v for k, v in CELLS.items() if k[0] in ("rte", "cola", "mrpc")}
    cells["rte", "calm"] = np.where(np.arange(20) < 14, NO_SKILL, cells["rte", "calm"])
    scores, _ = frames(cells)
    table = table_of(across_tasks(over_tasks(compare(scores, "plain"))), "arm", "deviation ratio [95 %]", "note")
    assert table[0]["deviation ratio [95 %]"] == "–"
    assert table[0]["note"] == "no summary: 2 of the 3 tasks needed have a ratio with an interval"
    assert table[1]["note"] == ""
    one, _ = frames({k: v for k, v in CELLS.items() if k[0] == "rte"})
    assert over_tasks(compare(one, "plain")) == ()


def test_level_is_that_of_the_statistics() -> None:
    scores, _ = frames()
    table = levels(compare(scores, "plain"), check_scores(scores), "caption")
    row = table_of(table, "task", "arm", "median [95 %]", "best of 5", "% better than baseline [95 %]")[1]
    values, base = CELLS["rte", "calm"], CELLS["rte", "plain"]
    median = 100 * level_of(values).loc["median", ["estimate", "low", "high"]].to_numpy(float)
    assert row["median [95 %]"] == f"{median[0]:.1f} [{median[1]:.1f}, {median[2]:.1f}]"
    assert row["best of 5"] == f"{100 * expected_best(values, [5])[0]:.1f}"
    better = probability_of_improvement(values, base)
    assert row["% better than baseline [95 %]"].startswith(f"{100 * better.estimate:.0f} [{100 * better.low:.0f}, ")


def test_two_parts_tell_what_the_sd_comes_from() -> None:
    scores, _ = frames({
        ("rte", "plain"): CELLS["rte", "plain"],
        ("rte", "often"): np.where(np.arange(20) < 4, NO_SKILL, CELLS["rte", "calm"]),
        ("rte", "constant"): np.full(20, 0.7),
    })  # fmt: skip
    rows = table_of(
        two_parts(compare(scores, "plain"), ""), "arm", "difference [95 %]", "did not fail", "SD ratio",
        "the SD comes from",
    )  # fmt: skip
    assert [r["the SD comes from"] for r in rows] == ["spread", "failures", "nothing"]
    assert rows[1]["did not fail"] == "16/20"
    assert rows[1]["difference [95 %]"].startswith("+20 [")
    kept = CELLS["rte", "calm"][4:]
    assert rows[1]["SD ratio"] == f"{kept.std(ddof=1) / CELLS['rte', 'plain'].std(ddof=1):.2f}"


def test_agreement_is_that_of_the_stored_predictions() -> None:
    cells = {("rte", "plain"): CELLS["rte", "plain"][:4], ("rte", "calm"): np.r_[NO_SKILL, CELLS["rte", "calm"][:3]]}
    scores, _ = frames(cells)
    read = predictor(scores)
    plain, calm = agreements(check_scores(scores), read)

    def classes(arm: str) -> np.ndarray:
        runs = scores.loc[scores["arm"] == arm].sort_values("failed", kind="stable")["run_id"]
        tables = [read(r).query("split == 'test'")[["logit_0", "logit_1"]].to_numpy() for r in runs]
        return np.stack(tables).argmax(axis=2)

    assert plain.disagreement == pytest.approx(disagreement.pairwise_disagreement(classes("plain")))
    assert plain.kappa == pytest.approx(disagreement.fleiss_kappa(classes("plain")))
    assert calm.matrix == pytest.approx(disagreement.disagreement_matrix(classes("calm")))
    assert calm.failed == (False, False, False, True)
    assert calm.seeds == (1, 2, 3, 0)
    assert calm.kept_disagreement == pytest.approx(disagreement.pairwise_disagreement(classes("calm")[:3]))
    assert calm.kept_disagreement != calm.disagreement
    assert calm.both_right == pytest.approx(disagreement.correct_consistency(classes("calm"), np.ones(40, int)))


def test_runs_without_usable_predictions_are_left_out_and_regression_has_none() -> None:
    scores, _ = frames({("rte", "plain"): CELLS["rte", "plain"][:4]})
    good, first, second = predictor(scores), scores["run_id"].iloc[0], scores["run_id"].iloc[1]

    def some(run_id: str) -> pd.DataFrame:
        if run_id == first:
            raise UserError("its predictions cannot be read")
        table = good(run_id)
        return table.assign(logit_0=np.nan) if run_id == second else table

    def damaged(run_id: str) -> pd.DataFrame:
        return some(run_id).assign(logit_1=np.inf) if run_id == second else some(run_id)

    (found,) = agreements(check_scores(scores), damaged)
    assert (len(found.seeds), found.left_out) == (2, 2)
    assert agreements(check_scores(scores), predictor(scores, classes=1)) == ()


def crossed(cells: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    scores, _ = frames(cells)
    place = scores["seed"]
    return scores.assign(seed_init=place // 5, seed_order=place % 5, seed_dropout=0, seed_prepare=place // 5)


def test_components_are_shown_for_crossed_seeds_only() -> None:
    scores, _ = frames({("rte", "plain"): CELLS["rte", "plain"]})
    assert components(check_scores(scores)).rows == ()
    designed = crossed({("rte", "plain"): CELLS["rte", "plain"]})
    assert crossed_streams(designed) == ["init", "order"]  # prepare varies with init: one name for both
    table = components(check_scores(designed))
    runs = designed.rename(columns={"seed_init": "init", "seed_order": "order"})
    expected = variance_components(runs, ["init", "order"])
    rows = table_of(table, "component", "% of variance")
    assert [r["component"] for r in rows] == expected["component"].tolist()
    assert [r["% of variance"] for r in rows] == [f"{100 * s:.0f}" for s in expected["share"]]


def test_a_report_of_crossed_seeds_has_the_section(tmp_path: Path) -> None:
    cells = {("rte", a): CELLS["rte", a] for a in ("plain", "calm")}
    write_report(crossed(cells), None, facts("crossed", "plain", ("plain", "calm")), tmp_path)
    page = Parts((tmp_path / "report.html").read_text("utf-8"))
    assert "variance" in page.sections
    assert "crossed design" in (tmp_path / "report.md").read_text("utf-8")
    assert r"\label{tab:components}" in (tmp_path / "tables.tex").read_text("utf-8")


def test_latex_tables_are_rectangular_balanced_and_escaped(written: tuple[Path, pd.DataFrame]) -> None:
    text = (written[0] / "tables.tex").read_text("utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.count(r"\begin{table}") == body.count(r"\end{table}") == body.count(r"\caption{") == 8 + 1
    assert not re.search(r"(?<!\\)[#_%~^]", re.sub(r"tab:[a-z-]+", "", body))
    stripped = re.sub(r"\\[{}]", "", body)
    assert stripped.count("{") == stripped.count("}")
    for table in re.findall(r"\\toprule\n(.*?)\\bottomrule", body, re.S):
        lines = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
        assert len(lines) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("50 % & more", r"50 \% \& more"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("$x^2$~#", r"\$x\textasciicircum{}2\$\textasciitilde{}\#"),
        ("two\nlines\x07", r"two lines\textbackslash{}x07"),
        ("54.5 ± 7.0", r"54.5 $\pm$ 7.0"),
        ("[0.36, 0.82]", "{[}0.36, 0.82{]}"),
        ("任务", "任务"),
    ],
)
def test_latex_prints_names_as_they_are(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_many_arms_share_no_line_of_a_distribution(tmp_path: Path) -> None:
    cells = {("t", f"arm{i}"): RNG.normal(0.7, 0.02, 5) for i in range(15)}
    scores, _ = frames(cells)
    arms = tuple(a for _, a in cells)
    page = Parts(write_report(scores, None, facts("many", "arm0", arms), tmp_path).html.read_text("utf-8"))
    drawn = [i["alt"] for i in page.images if "median" in i["alt"]]
    assert len(drawn) == 3
    assert all(alt.startswith("arm0: median") for alt in drawn)
    assert {a for alt in drawn for a in re.findall(r"arm\d+", alt)} == set(arms)
