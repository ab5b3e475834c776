"""A report as one self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stabilitybench.printing import LAYOUT, printable

if TYPE_CHECKING:
    from stabilitybench.documents.report import Report


def html(report: Report) -> str:
    """Return a report as one HTML page.

    Parameters
    ----------
    report : Report
        Every text in it is escaped by the template engine.

    Returns
    -------
    str
        The page, which needs no network and no other file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    engine = Environment(
        loader=PackageLoader("stabilitybench.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return engine.get_template("report.html.j2").render(report=report)


def _printable(value: Any) -> Any:
    """Make a text printable before the engine escapes it; what is markup already is ours."""
    return printable(value, LAYOUT) if type(value) is str else value
