"""The tables of a suite's report: predictions, bounds, medians, and every dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stabilitybench.documents.table import Table, TableCell, Tone, count, numeric, sentences, texts
from stabilitybench.suites.bound_checks import TRIVIAL, BoundCheck, Favourable
from stabilitybench.suites.measurements import QUANTITIES
from stabilitybench.suites.predictions import PredictionResult

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.suites.suite import SuiteResults

TONES: dict[str, Tone] = {"holds": "better", "REVERSED": "worse", "fails": "worse"}


def directions_table(found: Iterable[PredictionResult]) -> Table:
    """Return the table of predictions and what was measured.

    Parameters
    ----------
    found : iterable of PredictionResult
        One row each.
    """
    rows = tuple(
        {
            "suite": TableCell(f.suite),
            "factor": TableCell(f.factor),
            "change": TableCell(f.change),
            "quantity": TableCell(f.prediction.quantity),
            "predicted": TableCell(f"{f.prediction.direction} ({f.prediction.by})"),
            "verdict": TableCell(f.verdict, None, f.verdict, TONES.get(f.verdict, "neutral")),
            "holds_in": _share(f.share),
            "first": _number(f.first),
            "last": _number(f.last),
            "monotone": _share(f.monotone),
            "seeds": count(f.pairs),
        }
        for f in found
    )
    columns = (
        *texts(suite="suite", factor="factor", change="change", quantity="quantity"),
        *sentences(predicted="predicted"),
        *texts(verdict="verdict"),
        *numeric(holds_in="holds in", first="first", last="last", monotone="monotone in", seeds="seeds"),
    )
    caption = (
        "What was predicted as the factor goes from the first to the last value of its grid, and the share of dataset "
        "seeds in which it holds; first and last are medians. Lower is more stable."
    )
    return Table("directions-table", "Factor directions", caption, columns, rows)


def overview_table(held: Sequence[BoundCheck]) -> Table:
    """Return one row for each bound over all suites.

    Parameters
    ----------
    held : sequence of BoundCheck
        Of all suites.
    """
    rows = []
    for name in dict.fromkeys(h.bound for h in held):
        parts = [h for h in held if h.bound == name]
        done = [h for h in parts if h.datasets]
        compared = done[0] if done else parts[0]
        expected = compared.cells is not None
        checks = sum((h.cells if expected else h.checks) or 0 for h in done)
        exceeded = sum(h.exceeded for h in done)
        loose = sorted(h.tightness[0] for h in done if not math.isnan(h.tightness[0]))
        rows.append(
            {
                "bound": TableCell(name),
                "statement": TableCell("as recalled" if compared.published else "proven"),
                "scope": TableCell(compared.scope),
                "suites": count(len(parts)),
                "datasets": count(sum(h.datasets for h in parts)),
                "refused": count(sum(h.refused for h in parts)),
                "checks": TableCell(f"{checks}{' means' if expected else ''}", checks),
                "violations": TableCell(str(exceeded), exceeded, str(exceeded), "worse" if exceeded else "better"),
                "tightness": TableCell(f"{_plain(loose[0])} to {_plain(loose[-1])}" if loose else ""),
            }
        )
    columns = (
        *texts(bound="bound", statement="statement", scope="holds for"),
        *numeric(suites="suites", datasets="datasets", refused="refused", checks="checks", violations="violations"),
        *numeric(tightness="median tightness"),
    )
    caption = (
        "Violations: measured values above the bound; for expectations, settings at which the mean over datasets is "
        "above it beyond its Monte-Carlo error. Median tightness (bound / measured): smallest and largest over suites."
    )
    return Table("bounds-table", "Violations", caption, columns, tuple(rows))


def tightness_table(held: Iterable[BoundCheck]) -> Table:
    """Return one row for each bound in each suite.

    Parameters
    ----------
    held : iterable of BoundCheck
        One row each.
    """
    rows = tuple(
        {
            "suite": TableCell(h.suite),
            "bound": TableCell(h.bound),
            "datasets": count(h.datasets),
            "refused": count(h.refused),
            "violations": count(h.exceeded),
            **{key: _number(value) for key, value in zip(("median", "low", "high"), h.tightness, strict=True)},
        }
        for h in held
    )
    columns = (
        *texts(suite="suite", bound="bound"),
        *numeric(datasets="datasets", refused="refused", violations="violations"),
        *numeric(median="median tightness", low="10 %", high="90 %"),
    )
    caption = "Bound / measured: median and quantiles over the datasets of the suite; 1 is exact."
    return Table("tightness-table", "Tightness by suite", caption, columns, rows)


def favourable_table(best: Iterable[Favourable]) -> Table:
    """Return P2 with its most favourable constants beside the trivial limit.

    Parameters
    ----------
    best : iterable of Favourable
        One row each.
    """
    rows = tuple(
        {
            "suite": TableCell(p.suite),
            "factor": TableCell(p.factor),
            "value": _number(p.value),
            "datasets": count(p.datasets),
            "measured": _number(p.measured),
            "p2": _number(p.median),
            "vacuous": TableCell("yes" if p.median > TRIVIAL else "no"),
            "above": _share(p.above),
        }
        for p in best
    )
    columns = (
        *texts(suite="suite", factor="factor"),
        *numeric(value="value", datasets="datasets", measured="measured", p2="P2"),
        *texts(vacuous="median vacuous"),
        *numeric(above="datasets above sqrt(2)"),
    )
    caption = (
        "The second term of P2 with the constants most in its favour, against sqrt(2), which two max-margin directions "
        "of a dataset and its leave-one-out set never exceed. Above it, the bound says nothing."
    )
    return Table("p2-table", "P2 against the trivial limit", caption, columns, rows)


def medians_table(suite: SuiteResults, frame: pd.DataFrame) -> Table:
    """Return the medians of every quantity and bound at each value of the factor.

    Parameters
    ----------
    suite : SuiteResults
        What was measured.
    frame : DataFrame
        The same, as `SuiteResults.to_frame` gives it; one row at least.
    """
    file = suite.file
    table = frame.pivot_table(index="value", columns="item", values="amount", aggfunc="median", sort=False)
    counts = frame.groupby("value")["dataset"].nunique()
    items = [i for i in (*QUANTITIES, *file.measure.bounds) if i in table.columns]
    rows = tuple(
        {
            "factor": _number(v),
            "datasets": count(int(counts[v])),
            **{
                f"item_{i}": _number(x)
                for i, x in zip(items, table.loc[v, items].to_numpy(float).tolist(), strict=True)
            },
        }
        for v in (float(v) for v in file.values)
        if v in table.index
    )
    given = ", ".join(f"{key} = {value:g}" for key, value in file.parameters.items())
    caption = (
        f"Medians over datasets of {file.generator} ({given}); steps {file.measure.steps}, learning rate "
        f"{file.measure.rate:g} / beta, weight {file.measure.weight}, where they are not varied. Lower is more stable."
    )
    heads = numeric(factor=file.axis, datasets="datasets", **{f"item_{i}": i for i in items})
    return Table(f"medians-{file.name}", f"Medians: {file.name}", caption, heads, rows)


def datasets_table(pairs: Sequence[tuple[SuiteResults, pd.DataFrame]]) -> Table:
    """Return the quantities of every dataset, for the search on the page.

    Parameters
    ----------
    pairs : sequence of (SuiteResults, DataFrame)
        For each suite what was measured, and the same as a frame.
    """
    rows = []
    for suite, frame in pairs:
        part = frame[(frame["kind"] == "measured") & frame["item"].isin(["data", "worst", "seed"])]
        table = part.pivot_table(index=["value", "seed", "dataset"], columns="item", values="amount", sort=False)
        for (value, seed, dataset), numbers in zip(table.index, table.to_dict("records"), strict=True):
            rows.append(
                {
                    "dataset": TableCell(str(dataset)),
                    "suite": TableCell(suite.file.name),
                    "value": _number(value),
                    "number": TableCell(str(seed), seed),
                    **{k: _number(numbers.get(k, math.nan)) for k in ("data", "worst", "seed")},
                }
            )
    columns = (
        *texts(dataset="dataset", suite="suite"),
        *numeric(value="value", number="seed number", data="data", worst="worst", seed="seed"),
    )
    text = "datasets.csv has every quantity and every bound of each dataset to the last digit."
    return Table("every-dataset", "Every dataset", text, columns, tuple(rows))


def _number(value: float) -> TableCell:
    return TableCell("") if value is None or math.isnan(value) else TableCell(_plain(value), value)


def _plain(value: float) -> str:
    return f"{value:.3g}" if value < 1000 or value != round(value) else f"{value:g}"


def _share(value: float) -> TableCell:
    return TableCell("") if math.isnan(value) else TableCell(f"{100 * value:.0f} %", value)
