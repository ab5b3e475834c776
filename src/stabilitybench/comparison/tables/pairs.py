"""Runs in pairs: printed only where the study file declared, before any run, that equal seeds make a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.comparison.tables.cells import place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, sentences
from stabilitybench.statistics import holm, paired_spread

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.model import Comparison
    from stabilitybench.statistics import PairedSpread

STATISTICS = numeric(
    pairs="pairs", correlation="correlation [95 %]", sd_ratio="SD ratio [95 %]", pitman_morgan_p="Pitman-Morgan p",
    permutation_p="permutation p", permutation_holm="Holm p",
)  # fmt: skip


def paired(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return, for each arm, correlation with the baseline's runs of the same seeds, SD ratio and paired tests.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    scores : DataFrame
        Checked rows, one per planned run.
    """
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
        named = place(comparison.cells, c)
        if pairs is None:
            absent = dict.fromkeys((c.key for c in STATISTICS[1:]), TableCell(formats.ABSENT))
            rows.append({**named, "pairs": count(0), **absent, "note": TableCell("no pair")})
            continue
        r, ratio = pairs.correlation, pairs.ratio
        limits = "" if r.low is None or r.high is None else f" [{r.low:.2f}, {r.high:.2f}]"
        notes = [note for note in (r.note, "" if failed else ratio.note, pairs.permutation.reason) if note]
        if failed:
            notes.append(f"interval withheld: a run failed in {failed} pairs")
        shown = TableCell(formats.estimate(ratio.estimate, ratio.low, ratio.high), ratio.estimate)
        rows.append(
            {
                **named,
                "pairs": count(pairs.n),
                "correlation": TableCell(
                    formats.ABSENT if r.estimate is None else f"{r.estimate:.2f}{limits}", r.estimate
                ),
                "sd_ratio": TableCell("withheld") if failed else shown,
                "pitman_morgan_p": TableCell(formats.p_value(pairs.pitman_morgan.p), pairs.pitman_morgan.p),
                "permutation_p": TableCell(formats.p_value(pairs.permutation.p), pairs.permutation.p),
                "permutation_holm": TableCell(formats.p_value(adjusted.get(i)), adjusted.get(i)),
                "note": TableCell("; ".join(notes)),
            }
        )
    columns = (*place_columns(comparison.cells), *STATISTICS, *sentences(note="note"))
    caption = (
        "The study file declares paired = true: runs of the same seeds make a pair. The permutation test swaps the "
        "scores within pairs after each arm's median is taken away; Pitman-Morgan assumes normal scores. Holm over "
        "the permutation tests of this table. Near a correlation of 0 pairing gains nothing, and the unpaired tests "
        "above hold as well."
    )
    return Table("paired", "Paired comparison of spread", caption, columns, tuple(rows))
