"""Runs in pairs: printed only where the study file declared, before any run, that equal seeds make a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.documents import formats
from stabilitybench.documents.table import Column, Table, TableCell, count, numeric, place, place_columns
from stabilitybench.statistics import holm, paired_spread

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.analysis import Comparison
    from stabilitybench.statistics import PairedSpread


def paired(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return, for each arm, correlation with the baseline's runs of the same seeds, SD ratio and paired tests."""
    done = finished(scores)
    runs = {key: part.set_index("seed") for key, part in done.groupby([*GROUP, "arm"], sort=False)}
    cells = [c for c in comparison.cells if not c.is_baseline]
    found: list[tuple[PairedSpread | None, int]] = []
    for c in cells:
        own, base = (runs.get((c.encoder, c.task, arm)) for arm in (c.arm, comparison.baseline))
        if own is None or base is None:
            found.append((None, 0))
            continue
        seeds = sorted(set(own.index) & set(base.index))
        arms = [r.loc[seeds, "score"].to_numpy() for r in (own, base)]
        failed = int((own.loc[seeds, "failed"] | base.loc[seeds, "failed"]).sum())
        found.append((paired_spread(arms[0], arms[1], np.random.default_rng(0)) if seeds else None, failed))
    adjusted = holm({i: pairs.permutation.p for i, (pairs, _) in enumerate(found) if pairs is not None})
    rows = []
    for i, (c, (pairs, failed)) in enumerate(zip(cells, found, strict=True)):
        if pairs is None:
            rows.append(
                (*place(comparison, c), count(0), *(TableCell(formats.ABSENT) for _ in range(5)), TableCell("no pair"))
            )
            continue
        r, ratio = pairs.correlation, pairs.ratio
        limits = "" if r.low is None or r.high is None else f" [{r.low:.2f}, {r.high:.2f}]"
        notes = [note for note in (r.note, "" if failed else ratio.note, pairs.permutation.reason) if note]
        if failed:
            notes.append(f"interval withheld: a run failed in {failed} pairs")
        rows.append(
            (
                *place(comparison, c),
                count(pairs.n),
                TableCell(formats.ABSENT if r.estimate is None else f"{r.estimate:.2f}{limits}", r.estimate),
                TableCell("withheld")
                if failed
                else TableCell(formats.estimate(ratio.estimate, ratio.low, ratio.high), ratio.estimate),
                TableCell(formats.p_value(pairs.pitman_morgan.p), pairs.pitman_morgan.p),
                TableCell(formats.p_value(pairs.permutation.p), pairs.permutation.p),
                TableCell(formats.p_value(adjusted.get(i)), adjusted.get(i)),
                TableCell("; ".join(notes)),
            )
        )
    columns = (
        *place_columns(comparison),
        *numeric("pairs", "correlation [95 %]", "SD ratio [95 %]", "Pitman-Morgan p", "permutation p", "Holm p"),
        Column("note", wraps=True),
    )
    caption = (
        "The study file declares paired = true: runs of the same seeds make a pair. The permutation test swaps the "
        "scores within pairs after each arm's median is taken away; Pitman-Morgan assumes normal scores. Holm over "
        "the permutation tests of this table. Near a correlation of 0 pairing gains nothing, and the unpaired tests "
        "above hold as well."
    )
    return Table("paired", "Paired comparison of spread", caption, columns, tuple(rows))
