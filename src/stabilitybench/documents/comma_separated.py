"""Tables of numbers and names as CSV, in which no cell of a text is a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stabilitybench.printing import harmless_cell

if TYPE_CHECKING:
    import pandas as pd


def comma_separated(frame: pd.DataFrame) -> str:
    r"""Return a table as CSV; numbers as they are, texts made printable and harmless (see `harmless_cell`).

    Parameters
    ----------
    frame : DataFrame
        Its index is left out.

    Examples
    --------
    >>> import pandas as pd
    >>> comma_separated(pd.DataFrame({"arm": ["=cmd()", "plain"], "score": [-0.5, 0.25]}))
    "arm,score\n'=cmd(),-0.5\nplain,0.25\n"
    """
    import pandas as pd

    words = frame.select_dtypes(exclude=["number", "bool"])
    # Lists of objects, so that a whole number beside a missing one stays whole.
    texts = {str(name): pd.Series([_cell(value) for value in words[name]], frame.index, object) for name in words}
    return str(frame.assign(**texts).to_csv(index=False, lineterminator="\n"))


def _cell(value: Any) -> Any:
    return harmless_cell(value) if isinstance(value, str) else value
