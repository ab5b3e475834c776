"""The report of suites: directions, violations and tightness, and a figure for each suite."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from stabilitybench.documents.comma_separated import comma_separated
from stabilitybench.documents.html import html
from stabilitybench.documents.markdown import markdown
from stabilitybench.documents.report import BulletList, Definitions, FigureGroup, Prose, Report, Section
from stabilitybench.storage.records import versions
from stabilitybench.storage.writing import write_atomically
from stabilitybench.suites.bound_checks import BoundCheck, bounds_held, favourable
from stabilitybench.suites.figure import factor_figure
from stabilitybench.suites.measurements import QUANTITIES
from stabilitybench.suites.predictions import MOST, SAME, findings
from stabilitybench.suites.suite import PACKAGES
from stabilitybench.suites.tables import (
    datasets_table,
    directions_table,
    favourable_table,
    medians_table,
    overview_table,
    tightness_table,
)

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.suites.suite import SuiteResults

READ = (
    "Filled lines join medians of what was measured, broken lines those of bounds; every point is one dataset; both "
    "axes are logarithmic. What is below 1e-9 is rounding, and not drawn."
)
METHODS = (
    "Every dataset is drawn by a generator with known or re-measured constants; the same seed draws from the same "
    "random stream at every value of the factor, so that values are compared in pairs. Everything is computed in "
    "float64. Leave-one-out stability is exact: the problem is solved with all samples and without each one, from the "
    "same start.",
    "A bound that holds for each left-out sample is held against each of them, one that bounds the average against the "
    "average; a violation is a measured value above bound * (1 + 1e-9) + 1e-12. A bound on an expectation is held "
    "against the mean over the datasets of one setting: it counts as exceeded where the mean of measured - bound is "
    "above 0 at the one-sided 5 % level (t interval). Where the assumptions of a bound do not hold (a learning rate "
    "beyond 2 / beta, no margin) it is refused, and counted as refused.",
    "Published bounds are computed as recalled from the paper and with constants chosen in their favour: P2 has no "
    "direction term, the largest lambda at which soft and hard margin coincide, and nu = gamma; P1 has the constants "
    "of single samples, L measured along the run.",
    f"A change of the median by less than {SAME:.0%} from the first to the last value of a factor is no effect. Beyond "
    f"it a prediction holds where at least {MOST:.0%} of the dataset seeds agree, is REVERSED where as many say the "
    "opposite, and is mixed between.",
)
REFERENCES = (
    "Fu, So, Collier (2023). A Stability Analysis of Fine-Tuning a Pre-Trained Model. arXiv 2301.09820",
    "Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018). The Implicit Bias of Gradient Descent on Separable Data. "
    "JMLR 19(70)",
    "Schliserman, Koren (2022). Stability vs Implicit Bias of Gradient Methods on Separable Data and Beyond. COLT",
)
GLOSSARY = (
    *((f"{name} (quantity)", text) for name, text in QUANTITIES.items()),
    ("tightness", "bound divided by the measured value: 1 is exact, large is loose"),
    ("monotone", "share of the dataset seeds in which the prediction holds from each value of the factor to the next"),
    ("refused", "datasets on which the bound's assumptions do not hold, so that it has no value"),
)
#: What the terminal leaves out of the first tables.
DIRECTIONS_LEFT_OUT = ("factor", "monotone", "seeds")
BOUNDS_LEFT_OUT = ("scope", "suites")
STYLES: dict[str, str] = {"better": "green", "worse": "red", "neutral": ""}


def build_suite_report(suites: Sequence[SuiteResults], name: str) -> tuple[Report, pd.DataFrame]:
    """Return the report of several suites, and the numbers in it.

    Parameters
    ----------
    suites : sequence of SuiteResults
        What was measured.
    name : str
        Title of the report.

    Returns
    -------
    report : Report
        The whole report; nothing is written.
    table : DataFrame
        Every number in it as one row.
    """
    frames = [suite.to_frame() for suite in suites]
    found = [f for suite, frame in zip(suites, frames, strict=True) for f in findings(suite, frame)]
    held = [h for suite, frame in zip(suites, frames, strict=True) for h in bounds_held(suite, frame)]
    best = [p for suite, frame in zip(suites, frames, strict=True) for p in favourable(suite, frame)]
    pairs = list(zip(suites, frames, strict=True))
    every = pd.concat([f for f in frames if len(f)], ignore_index=True) if any(map(len, frames)) else frames[0]
    report = Report(
        title=name,
        headline=_headline(suites, held),
        notes=tuple(_notes(suites, held)),
        sections=(
            Section("directions", "Factor directions", (directions_table(found),)),
            Section("bounds", "Bounds", (overview_table(held), tightness_table(held), favourable_table(best))),
            *(_section(suite, frame) for suite, frame in pairs if len(frame)),
        ),
        appendices=_appendices(),
        data=datasets_table(pairs),
    )
    return report, every


def report_suites(suites: Sequence[SuiteResults], name: str, folder: Path) -> tuple[Report, Path]:
    """Write report.html, report.md and datasets.csv into `folder`.

    Parameters
    ----------
    suites : sequence of SuiteResults
        What was measured.
    name : str
        Title of the report.
    folder : Path
        Where the files go.

    Returns
    -------
    report : Report
        The report.
    path : Path
        Its page.
    """
    report, every = build_suite_report(suites, name)
    write_atomically(folder / "datasets.csv", comma_separated(every))
    write_atomically(folder / "report.md", markdown(report))
    write_atomically(folder / "report.html", html(report))
    return report, folder / "report.html"


def print_suites(report: Report, console: Console) -> None:
    """Print the directions and the bounds of a report.

    Parameters
    ----------
    report : Report
        A report of suites.
    console : rich.console.Console
        Where to.
    """
    from rich.table import Table as Grid
    from rich.text import Text

    console.print(Text(report.headline, style="bold"))
    directions, bounds = report.sections[0].tables[0], report.sections[1].tables[0]
    for table, left_out in ((directions, DIRECTIONS_LEFT_OUT), (bounds, BOUNDS_LEFT_OUT)):
        columns = [column for column in table.columns if column.key not in left_out]
        grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
        for column in columns:
            grid.add_column(column.title, justify="right" if column.numeric else "left")
        for row in table.rows:
            cells = [row[column.key] for column in columns]
            grid.add_row(*(Text(cell.text, style=STYLES[cell.tone]) for cell in cells))
        console.print()
        console.print(Text(table.title, style="bold"))
        console.print(grid)
    for note in report.notes:
        console.print(Text(f"note: {note}", style="yellow"))


def _section(suite: SuiteResults, frame: pd.DataFrame) -> Section:
    file = suite.file
    gallery = FigureGroup(f"figure-{file.name}", "Figure", f"{file.about} {READ}", (factor_figure(file, frame),))
    return Section(f"suite-{file.name}", f"{file.name}: {file.title}", (gallery, medians_table(suite, frame)))


def _headline(suites: Sequence[SuiteResults], held: Sequence[BoundCheck]) -> str:
    planned, done = sum(len(s.planned) for s in suites), sum(s.measured for s in suites)
    bad = sum(h.proven_violations for h in held)
    checks = sum(h.checks for h in held if not h.published and h.cells is None)
    word = "suite" if len(suites) == 1 else "suites"
    return (
        f"{len(suites)} {word}: {planned} datasets planned, {done} measured; {bad} violations of proven bounds in "
        f"{checks} checks"
    )


def _notes(suites: Sequence[SuiteResults], held: Sequence[BoundCheck]) -> list[str]:
    out = []
    for s in suites:
        missing = len(s.planned) - s.measured - len(s.crashed)
        if missing:
            out.append(f"{s.file.name}: {missing} of {len(s.planned)} datasets are not measured yet")
        if s.crashed:
            first = next(iter(s.crashed.items()))
            out.append(f"{s.file.name}: {len(s.crashed)} of {len(s.planned)} datasets crashed: {first[0]} ({first[1]})")
    out += [
        f"{h.suite}: the proven bound {h.bound} is violated in {h.exceeded} of {h.checks} checks"
        for h in held
        if h.proven_violations
    ]
    return out


def _appendices() -> tuple[Section, ...]:
    environment = {**versions(PACKAGES), "reported on": f"{platform.machine()} {platform.system()}"}
    methods = (Prose("methods-text", "", METHODS), BulletList("references", "References", REFERENCES))
    told = Definitions("environment-list", "", tuple(environment.items()), short=True)
    return (
        Section("methods", "Methods", methods, listed=False),
        Section("environment", "Environment", (told,)),
        Section("glossary", "Glossary", (Definitions("glossary-list", "", GLOSSARY),)),
    )
