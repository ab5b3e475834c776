"""The three files of a report: complete, escaped, self-contained, and true to the comparison."""

from __future__ import annotations

import base64
import csv
import errno
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from stabilitybench.comparison import StudyFacts, compare, write_report
from stabilitybench.documents.markdown import escape
from stabilitybench.errors import EnvironmentFailure, UserError
from support.score_frames import NO_SKILL, facts, quickstart, study_frames

VOID = {"meta", "link", "img", "br", "hr", "input"}
EVIL = "$x_\\frac$<script>alert(1)</script>|`*[a](b)"


class Page(HTMLParser):
    """Reads a page strictly: every tag closed in order; keeps tables, texts, images and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.images: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.text: list[str] = []
        self._table: list[list[str]] | None = None
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "table":
            self._table = self.tables.setdefault(values["id"], [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")
        elif tag == "img":
            self.images.append(values)
        elif tag == "a":
            self.links.append(values["href"])
        elif tag == "script":
            self.scripts += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text.append(data)
        if self._table and self._table[-1]:
            self._table[-1][-1] += data

    def rows(self, table: str) -> list[dict[str, str]]:
        head, *body = ([entry.strip() for entry in row] for row in self.tables[table])
        return [dict(zip(head, row, strict=True)) for row in body]


def small() -> tuple[pd.DataFrame, pd.DataFrame]:
    return study_frames({("t", arm): np.linspace(0.6, 0.9, 4) for arm in ("plain", "other")}, evaluations=2)


def report(scores: pd.DataFrame, curves: pd.DataFrame, about: StudyFacts, folder: Path) -> Page:
    return Page(write_report(scores, curves, about, folder).html.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    scores, curves = quickstart()
    folder = tmp_path_factory.mktemp("report") / "results" / "quickstart"
    write_report(scores, curves, facts(), folder)
    return folder, scores


def test_page_prints_the_numbers_of_the_comparison(quick: tuple[Path, pd.DataFrame]) -> None:
    folder, scores = quick
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    expected = compare(scores, "bert-adam").to_frame()
    summary = page.rows("summary")
    assert [r["arm"] for r in summary] == expected["arm"].tolist()
    for row, want in zip(summary, expected.to_dict("records"), strict=True):
        assert row["failed"] == f"{want['failed']}/{want['n']}"
        mean, spread = (float(part) for part in row["mean ± SD"].split(" ± "))
        assert mean == pytest.approx(100 * want["mean"], abs=0.051)
        assert spread == pytest.approx(100 * want["sd"], abs=0.051)
        assert row["verdict"] == want["verdict"]
    for row, want in zip(page.rows("failures"), expected.to_dict("records"), strict=True):
        limits = [float(n) for n in re.findall(r"\d+", row["% [95 % Wilson]"])]
        assert limits == pytest.approx(
            [100 * want[k] for k in ("failure_rate", "failure_low", "failure_high")], abs=0.51
        )
    assert len(page.rows("failed-runs")) == expected["failed"].sum()
    assert {r["run"] for r in page.rows("failed-runs")} == set(scores.loc[scores["failed"], "run_id"])


def test_page_is_self_contained(quick: tuple[Path, pd.DataFrame]) -> None:
    path = quick[0] / "report.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert path.stat().st_size < 3_000_000
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text)
    assert "url(" not in text
    assert "http" not in re.sub(r"http-equiv", "", re.sub(r"data:[^\"]*", "", text))
    assert page.scripts == 1
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_figures_show_every_run(quick: tuple[Path, pd.DataFrame]) -> None:
    folder, scores = quick
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    # seeds, distributions, failures, ratios and curves of two tasks; three forest plots
    assert len(page.images) == 5 * 2 + 3
    assert all(image["alt"] for image in page.images)
    svgs = [ElementTree.fromstring(base64.b64decode(i["src"].split(",")[1])) for i in page.images]
    markers = [sum(1 for node in svg.iter() if node.tag.endswith("}use")) for svg in svgs]
    tasks = scores["task"].nunique()
    assert markers[0] >= len(scores) / tasks
    words = " ".join(node.text or "" for svg in svgs for node in svg.iter() if node.tag.endswith("}text"))
    for word in ("bert-adam", "failed run", "no skill", "training loss", ", no interval"):
        assert word in words


def test_report_says_what_varied_and_how_it_was_done(quick: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = quick
    page = " ".join(Page((folder / "report.html").read_text(encoding="utf-8")).text)
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for text in (page, markdown):
        for words in (
            "Varied: init, order, dropout and prepare together. Fixed: subset.",
            "accuracy on pocket/acceptability, pocket/sentiment: test split, last checkpoint, in points (x100)",
            "higher is better",
            "n = 20 finished runs per arm",
            "a new head were trained with AdamW (peak learning rate 0.0003, batch size 16, 3 epochs, warm-up over",
            "Revisiting few-sample BERT fine-tuning",
            "Brown and A. B. Forsythe",
            "2.13.0",
            "debiased (the plain recipe)",
        ):
            assert words in text, words
    assert 'name = "quickstart"\nseeds = 20' in markdown


def test_csv_holds_every_run_to_the_last_digit(quick: tuple[Path, pd.DataFrame]) -> None:
    folder, scores = quick
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(scores.columns)
    assert [r["run_id"] for r in rows] == scores["run_id"].tolist()
    for column in ("score", "score_best", "validation", "train_loss"):
        assert [float(r[column]) for r in rows] == scores[column].tolist()
    assert [r["failed"] == "True" for r in rows] == scores["failed"].tolist()


def test_markdown_tables_are_rectangular(quick: tuple[Path, pd.DataFrame]) -> None:
    lines = (quick[0] / "report.md").read_text(encoding="utf-8").splitlines()
    widths: list[int] = []
    for line in [*lines, ""]:
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        elif widths:
            assert len(set(widths)) == 1
            widths = []


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    scores, curves = small()
    about = facts(baseline="plain", arms=("plain", "other"))
    one, two = (write_report(scores, curves, about, tmp_path / name) for name in ("one", "two"))
    for path, again in zip(vars(one).values(), vars(two).values(), strict=True):
        assert path.read_bytes() == again.read_bytes()


def test_names_from_users_are_text_everywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    arms = {a: rng.normal(0.8, 0.03, 12) for a in ("plain", EVIL)}
    arms[EVIL][0] = NO_SKILL
    scores, curves = study_frames(
        {(f"file:{EVIL}", a): v for a, v in arms.items()}, encoder=f"dir/{EVIL}", metric="accuracy"
    )
    about = StudyFacts(
        EVIL, "plain", {"plain": [], EVIL: [EVIL]}, {"mode": EVIL, EVIL: 1}, EVIL, EVIL,
        references=[EVIL], spec_toml=f"```\n{EVIL}", environment={EVIL: EVIL}, warnings=[EVIL],
    )  # fmt: skip
    page = report(scores, curves, about, tmp_path)
    assert page.scripts == 1
    assert any(EVIL in text for text in page.text)
    assert page.rows("summary")[1]["arm"] == EVIL
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    before, _, fenced = markdown.partition("````toml")
    assert "<script" not in before + fenced.partition("\n````\n")[2]
    assert escape(EVIL) in before
    for image in page.images:
        assert b"<script" not in base64.b64decode(image["src"].split(",")[1])


def test_letters_beyond_the_figure_font_do_not_stop_a_report(tmp_path: Path) -> None:
    scores, curves = study_frames(
        {("任务", "基线"): np.linspace(0.6, 0.9, 5), ("任务", "भाषा\x07"): np.linspace(0.7, 0.9, 5)}
    )
    page = report(scores, curves, facts("研究", "基线", ("基线", "भाषा\x07")), tmp_path)
    assert page.rows("summary")[0]["arm"] == "基线"


@pytest.mark.parametrize(
    "cells",
    [
        {("t", "plain"): np.full(20, NO_SKILL), ("t", "other"): np.full(20, NO_SKILL)},
        {("t", "plain"): np.full(20, 0.8), ("t", "other"): np.full(20, 0.7)},
        {("t", "plain"): np.array([0.8]), ("t", "other"): np.array([0.7])},
        {("t", "plain"): np.array([0.8, 0.9])},
        {("t", "plain"): np.full(3, np.nan), ("t", "other"): np.full(3, np.nan)},
        {("t", "plain"): np.array([0.8, np.nan, 0.81, 0.7]), ("t", "other"): np.array([np.nan] * 4)},
        {("t", "plain"): np.array([0.8, 0.81, 0.7]), ("t", "other"): np.array([0.8, 0.8000001, 0.8])},
    ],
    ids=[
        "all failed",
        "constant",
        "one seed",
        "one arm",
        "nothing finished",
        "an arm missing",
        "tiny spread",
    ],
)
def test_poor_studies_still_give_a_report(cells: dict[tuple[str, str], np.ndarray], tmp_path: Path) -> None:
    scores, curves = study_frames(cells)
    page = report(scores, curves, facts("poor", "plain", tuple(a for _, a in cells)), tmp_path)
    text = " ".join(page.text)
    assert len(page.rows("summary")) == len(cells)
    assert not re.search(r"\b(nan|inf|None)\b", text)
    missing = int((scores["status"] == "missing").sum())
    assert (f"{missing} of {len(scores)} planned runs are not finished" in text) == (missing > 0)
    if missing:
        assert len(page.rows("unfinished-runs")) == missing


def test_one_diverged_run_does_not_flatten_the_others(tmp_path: Path) -> None:
    scores, curves = study_frames({("t", a): np.linspace(NO_SKILL, 0.9, 5) for a in ("plain", "other")})
    gone = scores.index[scores["failed"]][0]
    scores.loc[gone, ["status", "train_loss"]] = ["diverged", np.inf]
    of_gone = curves["run_id"] == scores.loc[gone, "run_id"]
    curves.loc[of_gone, "train_loss"] = [10.0**k for k in range(5)] + [np.inf] * 3 + [np.nan] * 2
    page = report(scores, curves, facts("diverged", "plain", ("plain", "other")), tmp_path)
    assert page.rows("failures")[0]["diverged"] == "1"
    assert "diverged" in page.rows("failed-runs")[0]["why"]
    svg = base64.b64decode(page.images[-1]["src"].split(",")[1]).decode()
    labels = [float(n) for n in re.findall(r">(-?\d+(?:\.\d+)?)</text>", svg)]
    assert max(labels) == 100  # of % and points: no loss of 10000 on any axis


def test_several_encoders_are_named_in_tables_and_figures(tmp_path: Path) -> None:
    frames = [
        study_frames({("t", a): np.linspace(0.6, 0.9, 6) for a in ("plain", "other")}, encoder=e) for e in ("e1", "e2")
    ]
    scores, curves = (pd.concat(part, ignore_index=True) for part in zip(*frames, strict=True))
    scores["run_id"] = scores["encoder"] + scores["run_id"]
    curves["run_id"] = curves["encoder"] + curves["run_id"]
    page = report(scores, curves, facts("two", "plain", ("plain", "other")), tmp_path)
    assert [r["encoder"] for r in page.rows("summary")] == ["e1", "e1", "e2", "e2"]
    assert len(page.images) == 5 * 2


def test_arms_stand_in_the_order_of_the_study_file(tmp_path: Path) -> None:
    scores, curves = study_frames({("t", arm): np.linspace(0.6, 0.9, 3) for arm in "abcd"}, evaluations=2)
    page = report(scores, curves, facts(baseline="c", arms=("d", "b", "c", "a")), tmp_path)
    assert [r["arm"] for r in page.rows("summary")] == ["c", "d", "b", "a"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file, not a folder")
    scores, curves = small()
    with pytest.raises(EnvironmentFailure, match=r"results/quickstart: cannot be written .*Choose a folder"):
        write_report(
            scores,
            curves,
            facts(baseline="plain", arms=("plain", "other")),
            tmp_path / "results" / "quickstart",
        )


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, curves = small()
    paths = write_report(scores, curves, facts(baseline="plain", arms=("plain", "other")), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match=r"the disk is full\. Finished runs are kept"):
        write_report(scores.assign(seconds=1.0), curves, facts("another", "plain", ("plain", "other")), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert paths.html.exists()


def test_curves_without_a_column_are_refused(tmp_path: Path) -> None:
    scores, curves = small()
    with pytest.raises(UserError, match="curves: column 'progress' is missing"):
        write_report(
            scores,
            curves.drop(columns="progress"),
            facts(baseline="plain", arms=("plain", "other")),
            tmp_path,
        )
    assert not list(tmp_path.iterdir())
