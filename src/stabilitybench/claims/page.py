"""The verdicts on published claims: printed, and as Markdown and HTML with a figure for each claim."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.claims.figure import RATIOS, claim_figure
from stabilitybench.claims.findings import VERDICTS, VerdictName
from stabilitybench.documents.comma_separated import comma_separated
from stabilitybench.documents.formats import ABSENT, p_value, ratio
from stabilitybench.documents.html import html
from stabilitybench.documents.markdown import markdown
from stabilitybench.documents.report import BulletList, Definitions, FigureGroup, Prose, Report, Section
from stabilitybench.documents.table import Column, Table, TableCell, Tone, count, numeric, sentences, texts
from stabilitybench.errors import Argument, UserError, suggest
from stabilitybench.printing import printable
from stabilitybench.storage.writing import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.claims import Claims, ClaimVerdict

TONES: dict[VerdictName, Tone] = {"supported": "better", "contradicted": "worse"}
STYLES: dict[Tone, str] = {"better": "green", "worse": "red", "neutral": ""}
METHODS = (
    "Every claim stands once in paper_checks/claims.toml, with its prediction and, for each check, the rule that "
    "decides: test, minimal effect of interest, arms and tasks, fixed before looking. Tests are at 5 %, two-sided but "
    "for equivalence and bounds on an average, after Holm's adjustment over the checks of a family in the same tier "
    "and table. Supported: significant, and in the direction claimed. Contradicted: significant, and against it. Not "
    "detected: neither; the table then says which effect would have been detected with a power of 80 %, and how many "
    "runs per arm would detect the minimal effect of interest. Four rules were fixed after results were known; "
    "docs/paper-checks.md names them.",
    "Means are compared by Welch's t, over several tasks as the mean of the tasks' differences; interactions and "
    "shares are contrasts of means. Spread: Brown-Forsythe for one task, a median-centred permutation test over "
    "several, the SD ratio with Bonett's interval, withheld where runs failed; a task where nine tenths of an arm's "
    "runs fail, or where an arm scores no better than a constant guess, is left out. Failures: exact and conditional, "
    "Fisher's test where there is one task. Equivalence: two one-sided tests on each task, all of which must pass; "
    "contradicted where an interval lies beyond the margin. Arms share their seeds and their scores go together; the "
    "tests take them as independent, which makes differences harder to detect, not easier.",
    "Tiers. analytic: closed forms. numeric: the synthetic suites. recorded: a public replication of 600 BERT-large "
    "runs, tables as published, and runs of this project on a real encoder and real text. pocket: runs on the embedded "
    "encoders, which say nothing about BERT-large by themselves. real: any encoder and task, on request. The bounds P1 "
    "to P3 of Fu et al. are computed as recalled, with constants most in their favour; their tables of methods were "
    "not at hand, so that those claims stand as the abstract words them.",
)
GLOSSARY = (
    ("effect", "first arm against second; in points (x100), as a ratio, a chance or a difference of failure rates"),
    ("detectable", "the effect that would be detected with a power of 80 %: a distance from none, or a ratio"),
    ("power", "the chance to detect the minimal effect of interest with these runs"),
    ("runs needed", "per arm, to detect the minimal effect of interest with a power of 80 %"),
    ("absent", "the runs have not been made yet; supports nothing"),
    ("not applicable", "the evidence cannot speak to the claim, for the reason given"),
)
COLUMNS = {
    column.key: column
    for column in (
        *texts(claim="claim", tier="tier"), *sentences(check="check"), *texts(n="n"), *numeric(effect="effect [95 %]"),
        *texts(unit="unit"), *numeric(p="p", holm="Holm", power="power", detectable="detectable", needed="runs needed"),
        *texts(verdict="verdict"), *sentences(note="note"),
    )
}  # fmt: skip
#: The columns of the short table.
BRIEF = ("claim", "tier", "check", "verdict", "effect", "n", "p", "holm", "power")
#: The columns in the terminal, beside the check, and those of a narrow one.
PRINTED = ("n", "effect", "p", "holm", "power", "detectable", "verdict")
PRINTED_NARROW = ("effect", "holm", "verdict")
#: Narrower consoles get the short print.
WIDE = 150
EVERY = "Every check: what was compared, what was found, and the verdict that its rule draws."


@dataclass(frozen=True)
class ClaimPaths:
    """Where the exported files are.

    Attributes
    ----------
    html, markdown : Path
        The page.
    csv : Path
        One row per check.
    """

    html: Path
    markdown: Path
    csv: Path


def claims_and_print(console: Console, tiers: Sequence[str] | None, out: Path | None) -> None:
    """Judge the shipped claims by the kept tables, print the verdicts and, if wanted, export them.

    Parameters
    ----------
    console : Console
        Where to print.
    tiers : sequence of str or None
        Which tiers of evidence; None takes all but "real", which needs runs.
    out : Path or None
        Folder to export to, made where it is not there.

    Raises
    ------
    UserError
        For a tier that is not known, and for a file in place of the folder.
    EnvironmentFailure
        Where the folder cannot be written.
    """
    from stabilitybench.claims import TIERS, judge, kept_tables, read_claims

    known = [tier for tier in TIERS if tier != "real"]  # that one needs runs: see docs/paper-checks.md
    for tier in tiers or []:
        if tier not in known:
            raise UserError(
                Argument("tiers", tier), f": must be one of {', '.join(known)}", suggest(tier, list[str](known))
            )
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(Argument("out", out), ": is a file; must be a folder, or a name for a new one")
    claims = read_claims()
    judged = judge(claims, kept_tables(), tuple(t for t in known if t in (tiers or known)))
    print_verdicts(judged, console)
    if out is not None:
        paths = export(claims, judged, out)
        console.print(printable(f"report: {paths.html}"), soft_wrap=True)


def _report_of(claims: Claims, judged: Sequence[ClaimVerdict], *, figures: bool = True) -> Report:
    """Return the report of some checks: the table of all, then every claim with what it says and its figure."""
    by_claim = {c.id: [j for j in judged if j.claim.id == c.id] for c in claims.claims}
    sections = [Section("verdicts", "Verdicts", (_counts(judged), _overview(judged)))]
    for claim in claims.claims:
        found = by_claim[claim.id]
        if not found:
            continue
        caption = f"Predicted: {claim.prediction} ({claims.papers[claim.paper]}, {claim.where}.)"
        table = _table(f"table-{claim.id}", claim.id, caption, tuple(COLUMNS)[1:], map(_row, found))
        gallery = FigureGroup(f"figure-{claim.id}", "Figure", caption, (claim_figure(found),) if figures else ())
        sections.append(Section(claim.id, claim.statement, (gallery, table) if figures else (table,), listed=False))
    return Report(
        title="Published claims, checked",
        headline=headline(judged),
        notes=tuple(_notes(judged)),
        sections=tuple(sections),
        appendices=_appendices(claims),
        data=_table("every-check", "Every check", EVERY, tuple(COLUMNS), map(_row, judged)),
    )


def _appendices(claims: Claims) -> tuple[Section, ...]:
    references = BulletList("references", "References", tuple(claims.papers.values()))
    return (
        Section("methods", "Methods", (Prose("methods-text", "", METHODS), references), listed=False),
        Section("glossary", "Glossary", (Definitions("glossary-list", "", GLOSSARY),)),
    )


def export(claims: Claims, judged: Sequence[ClaimVerdict], folder: Path) -> ClaimPaths:
    """Write claims.html, claims.md and claims.csv, each whole or not at all.

    Parameters
    ----------
    claims : Claims
        As `read_claims` returns them.
    judged : sequence of ClaimVerdict
        As `judge` returns them.
    folder : Path
        Where to write; it is made where it is not there.

    Returns
    -------
    ClaimPaths
        Where the files are.

    Raises
    ------
    EnvironmentFailure
        Where the folder cannot be written.
    """
    paths = ClaimPaths(*(folder / f"claims.{kind}" for kind in ("html", "md", "csv")))
    report = _report_of(claims, judged)
    write_atomically(paths.csv, comma_separated(verdict_frame(judged)))
    write_atomically(paths.markdown, markdown(report))
    write_atomically(paths.html, html(report))
    return paths


def verdicts_markdown(claims: Claims, judged: Sequence[ClaimVerdict]) -> str:
    """Return the page that is kept with the project, the same bytes each time.

    Parameters
    ----------
    claims : Claims
        As `read_claims` returns them.
    judged : sequence of ClaimVerdict
        As `judge` returns them.
    """
    return markdown(_report_of(claims, judged, figures=False)).rstrip() + "\n"


def verdict_frame(judged: Iterable[ClaimVerdict]):  # type: ignore[no-untyped-def]
    """Return one tidy row per check.

    Parameters
    ----------
    judged : iterable of ClaimVerdict
        As `judge` returns them.

    Returns
    -------
    DataFrame
        Effect, low, high and detectable are in the units of the report, which the column unit names.
    """
    import pandas as pd

    rows = []
    for j in judged:
        f = j.finding
        rows.append({
            "claim": j.claim.id, "paper": j.claim.paper, "tier": j.check.tier, "check": j.check.label,
            "rule": j.check.rule, "n": f.n, "effect": f.effect, "low": f.low, "high": f.high, "unit": f.unit, "p": f.p,
            "p_holm": j.adjusted, "power": f.power, "detectable": f.detectable, "runs_needed": f.seeds,
            "verdict": j.verdict, "recorded": j.check.verdict, "note": f.note,
        })  # fmt: skip
    return pd.DataFrame(rows)


def print_verdicts(judged: Sequence[ClaimVerdict], console: Console) -> None:
    """Print one line for each check, and how many have which verdict.

    Parameters
    ----------
    judged : sequence of ClaimVerdict
        As `judge` returns them.
    console : Console
        Where to print; a narrow one gets fewer columns.
    """
    from rich.table import Table as Grid
    from rich.text import Text

    wide = console.width >= WIDE
    shown = PRINTED if wide else PRINTED_NARROW
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("claim", max_width=None if wide else 46)
    for column in (COLUMNS[key] for key in shown):
        title = f"p ({column.title})" if column.key == "holm" else column.title
        grid.add_column(title, justify="right" if column.numeric else "left", no_wrap=column.key == "verdict")
    last = ""
    for j in judged:
        if j.claim.id != last:
            grid.add_row(Text(j.claim.id, style="bold"), *[""] * len(shown))
            last = j.claim.id
        row = _with_unit(_row(j))
        cells = {key: Text(row[key].text, style=STYLES[row[key].tone]) for key in shown}
        if j.finding.effect is None and j.finding.note:  # why there is nothing to see
            cells["effect"] = Text(j.finding.note, style="dim")
        grid.add_row(Text(f"  {j.check.tier} {j.check.label}".rstrip()), *cells.values())
    console.print(grid)
    console.print(Text(headline(judged), style="bold"))
    for note in _notes(judged):
        console.print(Text(f"note: {note}", style="yellow"))


def headline(judged: Sequence[ClaimVerdict]) -> str:
    """Return how many claims and checks there are, and how many have which verdict.

    Parameters
    ----------
    judged : sequence of ClaimVerdict
        As `judge` returns them.
    """
    counts = Counter(j.verdict for j in judged)
    told = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
    return f"{len({j.claim.id for j in judged})} claims, {len(judged)} checks: {told}"


def _notes(judged: Iterable[ClaimVerdict]) -> list[str]:
    return [
        f'{j.name}: now {j.verdict}, on record "{j.check.verdict}"'
        for j in judged
        if not j.as_recorded and j.check.tier != "real"
    ]


def _overview(judged: Iterable[ClaimVerdict]) -> Table:
    return _table("verdicts-table", "Verdicts", EVERY, BRIEF, (_with_unit(_row(j)) for j in judged))


def _table(key: str, title: str, caption: str, keys: Sequence[str], rows: Iterable[dict[str, TableCell]]) -> Table:
    """Return a table of some of the columns."""
    columns: tuple[Column, ...] = tuple(COLUMNS[k] for k in keys)
    return Table(key, title, caption, columns, tuple({k: row[k] for k in keys} for row in rows))


def _with_unit(row: dict[str, TableCell]) -> dict[str, TableCell]:
    """Return a row whose effect names its unit."""
    effect = row["effect"]
    return {**row, "effect": TableCell(f"{effect.text} {row['unit'].text}".rstrip(), effect.order)}


def _counts(judged: Sequence[ClaimVerdict]) -> Table:
    tiers = list(dict.fromkeys(j.check.tier for j in judged))
    rows = tuple({"tier": TableCell(tier), **{v: count(_number(judged, tier, v)) for v in VERDICTS}} for tier in tiers)
    caption = (
        "How many checks of each tier have which verdict. Those of tier pocket are about the embedded laboratory "
        "alone: encoders hundreds of times smaller than BERT-large, far higher learning rates, one layer a quarter of "
        "them."
    )
    columns = (*texts(tier="tier"), *numeric(**{v: v for v in VERDICTS}))
    return Table("counts-table", "Counts", caption, columns, rows)


def _number(judged: Iterable[ClaimVerdict], tier: str, verdict: str) -> int:
    return sum(j.check.tier == tier and j.verdict == verdict for j in judged)


def _row(j: ClaimVerdict) -> dict[str, TableCell]:
    f = j.finding
    return {
        "claim": TableCell(j.claim.id),
        "tier": TableCell(j.check.tier),
        "check": TableCell(j.check.label),
        "n": TableCell(f.n),
        "effect": TableCell(_effect(f.effect, f.low, f.high, f.unit), f.effect),
        "unit": TableCell(f.unit),
        "p": TableCell(p_value(f.p), f.p),
        "holm": TableCell(p_value(j.adjusted), j.adjusted),
        "power": TableCell(ABSENT if f.power is None else f"{f.power:.2f}", f.power),
        "detectable": TableCell(_amount(f.detectable, f.unit), f.detectable),
        "needed": count(f.seeds),
        "verdict": TableCell(j.verdict, None, j.verdict, TONES.get(j.verdict, "neutral")),
        "note": TableCell(f.note),
    }


def _effect(effect: float | None, low: float | None, high: float | None, unit: str) -> str:
    limits = "" if low is None or high is None else f" [{_amount(low, unit)}, {_amount(high, unit)}]"
    return _amount(effect, unit) + limits


def _amount(value: float | None, unit: str) -> str:
    if value is None or not math.isfinite(value):
        return ABSENT
    if unit in RATIOS:
        return ratio(value)
    if unit == "points":
        return f"{value:.1f}" if abs(value) >= 0.95 else f"{value:.2f}"
    return f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.2g}"
