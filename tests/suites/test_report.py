"""The report of suites: each verdict from hand-made numbers, and a page that says what it must."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from stabilitybench.suites.bound_checks import bounds_held, favourable
from stabilitybench.suites.file import parse_suite
from stabilitybench.suites.predictions import findings
from stabilitybench.suites.report import print_suites, report_suites
from stabilitybench.suites.suite import Datasets, Suite, SuiteResults, run_suites

RAW = {
    "name": "mine",
    "title": "More samples",
    "factor": "n",
    "about": "More <samples>.",
    "generator": "separable-ball",
    "datasets": 10,
    "parameters": {"d": 3},
    "vary": {"n": [8, 16, 32]},
    "measure": {"kind": "max-margin", "bounds": ["B2 refit", "P2"]},
}


def results(*predictions, **changes):
    said = [{"quantity": "data", "direction": d, "by": "me"} for d in predictions]
    return SuiteResults(parse_suite({**RAW, "predictions": said, **changes}), (), {})


def measured(table):
    """Return the frame of a suite whose "data" are the columns of `table`, one row a seed."""
    rows = [
        {
            "kind": "measured",
            "item": "data",
            "value": float(n),
            "seed": seed,
            "amount": amount,
            "dataset": f"{n}-{seed}",
        }
        for n, column in zip(RAW["vary"]["n"], np.array(table, dtype=float).T, strict=True)
        for seed, amount in enumerate(column)
    ]
    return pd.DataFrame(rows)


def verdicts(table, *predictions):
    return [(f.verdict, f.share, f.monotone) for f in findings(results(*predictions), measured(table))]


def test_what_falls_everywhere_holds_and_its_opposite_is_reversed():
    table = [[4, 2, 1]] * 9 + [[2, 4, 1]]
    assert verdicts(table, "falls", "rises", "stays") == [
        ("holds", 1.0, 0.9),
        ("REVERSED", 0.0, 0.0),
        ("fails", 0.0, 0.0),
    ]


def test_a_small_change_is_none_whatever_its_sign():
    table = [[1, 2, 0.95]] * 10
    assert [v for v, _, _ in verdicts(table, "falls", "rises", "stays")] == ["no effect", "no effect", "holds"]


def test_where_datasets_disagree_it_is_mixed():
    table = [[4, 2, 1]] * 7 + [[1, 2, 4]] * 3
    assert verdicts(table, "falls")[0] == ("mixed", 0.7, 0.7)


def test_only_seeds_with_both_ends_count():
    frame = measured([[4, 2, 1]] * 4)
    frame = frame[~((frame["seed"] == 0) & (frame["value"] == 32))]
    [found] = findings(results("falls"), frame)
    assert (found.pairs, found.first, found.last) == (3, 4.0, 1.0)


def bound_rows(name, scope, amounts, found, published=False, value=8.0):
    return [
        {
            "kind": "bound", "item": name, "value": value, "seed": k, "dataset": f"{value}-{k}", "amount": a,
            "measured": m, "tightness": a / m, "checks": 5.0, "violations": float(m > a), "scope": scope,
            "published": published,
        }
        for k, (a, m) in enumerate(zip(amounts, found, strict=True))
    ]  # fmt: skip


def test_violations_of_a_pathwise_bound_are_counted_and_refusals_too():
    rows = bound_rows("B2 refit", "every i", [2, 2, 2], [1, 1, 4])
    rows.append({**rows[0], "seed": 9, "amount": None, "tightness": None, "checks": None, "violations": None})
    [held] = bounds_held(results(), pd.DataFrame(rows))
    assert (held.datasets, held.refused, held.checks, held.exceeded, held.proven_violations) == (3, 1, 15, 1, 1)
    assert held.tightness[0] == 2.0


@pytest.mark.parametrize(("shift", "exceeded"), [(-0.5, 0), (0.05, 0), (0.5, 1)])
def test_an_expectation_is_held_against_its_monte_carlo_error(shift, exceeded):
    found = 1 + shift + 0.3 * np.tile([-1.0, 1.0], 10)
    [held] = bounds_held(results(), pd.DataFrame(bound_rows("P2", "expectation", np.ones(20), found, True)))
    assert (held.cells, held.exceeded, held.proven_violations) == (1, exceeded, 0)


def test_p2_is_held_against_the_trivial_limit():
    rows = bound_rows("P2", "expectation", [1.0, 1.5, 2.0], [0.1, 0.1, 0.1], True)
    [found] = favourable(results(), pd.DataFrame(rows))
    assert (found.median, found.above) == (1.5, pytest.approx(2 / 3))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites")
    said = [{"quantity": "data", "direction": "falls", "by": "B2 & <me>"}]
    it = Suite(parse_suite({**RAW, "predictions": said}), Datasets(folder / "store"))
    run_suites([it], jobs=1)
    report, page = report_suites([it.results()], "mine", folder / "results" / "mine")
    return folder / "results" / "mine", report, page


def test_the_three_files_say_the_same_and_escape_names(done):
    folder, report, page = done
    text = page.read_text()
    assert "1 suite: 30 datasets planned, 30 measured; 0 violations of proven bounds in 560 checks" in text
    assert "B2 &amp; &lt;me&gt;" in text
    assert "More &lt;samples&gt;." in text
    assert text.count("data:image/svg+xml;base64,") == 1
    assert "http://" not in text.replace("http://www.w3.org", "")
    said = (folder / "report.md").read_text()
    assert "| mine | n | n 8 to 32 | data | falls (B2 &amp; &lt;me&gt;) |" in said
    assert report.headline in said
    frame = pd.read_csv(folder / "datasets.csv")
    assert frame["dataset"].nunique() == 30
    assert set(frame["item"]) == {"data", "worst", "B2 refit", "P2"}


def test_the_figure_has_a_point_for_every_dataset(done):
    _, report, _ = done
    gallery = report.sections[-1].blocks[0]
    svg = gallery.figures[0].svg
    assert "30 datasets" in gallery.figures[0].alt
    for name in ("data", "worst", "B2 refit", "P2", "8", "16", "32"):
        assert f">{name}</text>" in svg
    # four clouds of 30 points, three medians for each, and the legend
    assert svg.count("<use ") >= 4 * 33


def test_a_factor_with_zero_and_an_incomplete_suite_are_reported(tmp_path):
    raw = {**RAW, "generator": "label-noise", "datasets": 2, "vary": {"flipped": [0.0, 0.2]},
           "parameters": {"n": 20, "d": 2},
           "measure": {"kind": "head", "steps": 5, "bounds": ["B3 closed form"]}}  # fmt: skip
    it = Suite(parse_suite(raw), Datasets(tmp_path / "store"))
    run_suites([Suite(parse_suite({**raw, "vary": {"flipped": [0.0]}}), it.store)], jobs=1)
    report, _ = report_suites([it.results()], "mine", tmp_path / "results")
    assert report.notes == ("mine: 2 of 4 datasets are not measured yet",)
    console = Console(file=io.StringIO(), width=150)
    print_suites(report, console)
    assert "4 datasets planned, 2 measured" in console.file.getvalue()
