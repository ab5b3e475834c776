"""The part of an arm's spread that its few test rows make, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.tables.cells import place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, sentences, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stabilitybench.comparison.row_shares import ArmRowShare

CAPTION = (
    "All finished runs of an arm are scored on the same few rows, and part of their SD is what runs that are alike "
    "would show on so few. Rows alone: the SD that independent errors on each row give. Endless rows: the SD that "
    "would be left on any number of rows like these. Share: the part of the variance that goes with the rows; above "
    "100 % where the variance on endless rows is estimated as negative, as happens by chance where there is little. "
    "More seeds do not shrink this part, more test rows do. For other scores than accuracy every SD here is that of "
    "what each row adds to the score when it is left out, which differs a little. In points (x100)."
)


def row_share_table(found: Sequence[ArmRowShare]) -> Table:
    """Return the share of the test rows in each arm's variance.

    Parameters
    ----------
    found : sequence of ArmRowShare
        One per encoder, task and arm.
    """
    rows = []
    for one in found:
        share = one.found
        rows.append(
            {
                **place(found, one),
                "metric": TableCell(one.metric),
                "runs": TableCell(formats.ABSENT) if share is None else count(share.runs),
                "rows": TableCell(formats.ABSENT) if share is None else count(share.rows),
                "sd": _sd(None if share is None else share.sd),
                "sd_rows": _sd(None if share is None else share.sd_rows),
                "sd_endless": _sd(None if share is None else share.sd_endless),
                "share": _percent(None if share is None else share.share),
                "note": TableCell(one.note),
            }
        )
    columns = (
        *place_columns(found),
        *texts(metric="score"),
        *numeric(runs="runs", rows="test rows", sd="SD", sd_rows="rows alone", sd_endless="endless rows"),
        *numeric(share="% of the variance from rows"),
        *sentences(note="note"),
    )
    return Table("test-set", "How much is the test set", CAPTION, columns, tuple(rows))


def _sd(value: float | None) -> TableCell:
    return TableCell(formats.ABSENT) if value is None else TableCell(formats.points(value, 2), value)


def _percent(value: float | None) -> TableCell:
    return TableCell(formats.ABSENT) if value is None else TableCell(formats.percent(value), value)
