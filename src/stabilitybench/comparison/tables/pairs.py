"""Runs in pairs: the correlation, and tests of the SDs that are asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.comparison.tables.cells import place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, sentences
from stabilitybench.statistics import paired_spread

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.model import Comparison
    from stabilitybench.statistics import PairedSpread

STATISTICS = numeric(
    pairs="pairs", correlation="correlation [95 %]", sd_ratio="SD ratio [95 %]", pitman_morgan_p="Pitman-Morgan p",
    permutation_p="permutation p",
)  # fmt: skip


def paired(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return, for each arm in pairs with the baseline, their correlation, SD ratio and paired tests.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    scores : DataFrame
        Checked rows, one per planned run.
    """
    done = finished(scores)
    runs = dict(iter(done.groupby([*GROUP, "arm"], sort=False)))
    cells = [c for c in comparison.cells if c.against is not None and c.against.pairing.pairs]
    found: list[tuple[PairedSpread, int]] = []
    for c in cells:
        own, base = (runs[c.encoder, c.task, arm] for arm in (c.arm, comparison.baseline))
        places = np.array(c.against.pairing.pairs if c.against else (), dtype=np.intp)
        arms = [r.iloc[places[:, side]] for side, r in enumerate((own, base))]
        failed = int((arms[0]["failed"].to_numpy() | arms[1]["failed"].to_numpy()).sum())
        spread = paired_spread(arms[0]["score"].to_numpy(), arms[1]["score"].to_numpy(), np.random.default_rng(0))
        found.append((spread, failed))
    rows = []
    for c, (pairs, failed) in zip(cells, found, strict=True):
        r, ratio = pairs.correlation, pairs.ratio
        limits = "" if r.low is None or r.high is None else f" [{r.low:.2f}, {r.high:.2f}]"
        notes = [note for note in (r.note, "" if failed else ratio.note, pairs.permutation.reason) if note]
        if failed:
            notes.append(f"interval withheld: a run failed in {failed} pairs")
        shown = TableCell(formats.estimate(ratio.estimate, ratio.low, ratio.high), ratio.estimate)
        rows.append(
            {
                **place(comparison.cells, c),
                "pairs": count(pairs.n),
                "correlation": TableCell(
                    formats.ABSENT if r.estimate is None else f"{r.estimate:.2f}{limits}", r.estimate
                ),
                "sd_ratio": TableCell("withheld") if failed else shown,
                "pitman_morgan_p": TableCell(formats.p_value(pairs.pitman_morgan.p), pairs.pitman_morgan.p),
                "permutation_p": TableCell(formats.p_value(pairs.permutation.p), pairs.permutation.p),
                "note": TableCell("; ".join(notes)),
            }
        )
    columns = (*place_columns(comparison.cells), *STATISTICS, *sentences(note="note"))
    caption = (
        "Runs of equal seeds, failed ones included. No verdict rests on this table: SDs and their tests mislead where "
        "arms differ in shape, Pitman-Morgan where scores are not normal. The permutation test swaps the scores within "
        "pairs after each arm's median is taken away."
    )
    return Table("paired", "Runs in pairs", caption, columns, tuple(rows))
