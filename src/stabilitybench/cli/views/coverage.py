"""How far a study is: what finished, what failed, what is missing, and what a run command would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stabilitybench.documents.formats import points
from stabilitybench.printing import printable
from stabilitybench.statuses import FINISHED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stabilitybench.studies import Results, Study
    from stabilitybench.studies.results import PlannedRun

STATES = ("ok", "failed", "diverged", "crashed", "timeout", "missing")
#: Runs listed one by one, of each kind; scores.csv of the report has all of them.
LISTED = 20
#: Digits of a run id that are shown; `stabilitybench show` needs no more.
SHORT = 8


def _state(results: Results, run: PlannedRun) -> str:
    """Return the status of a planned run; "missing" where the store has nothing of it."""
    record = results.records.get(run.spec.id)
    return "missing" if record is None else str(record["status"])


def coverage_table(results: Results) -> Table:
    """Return how many runs of each encoder, task and arm are in which state.

    Parameters
    ----------
    results : Results
        Of a study, complete or not; states that none of its runs is in have no column.
    """
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for run in results.runs:
        counts.setdefault((run.encoder, run.task, run.arm), Counter())[_state(results, run)] += 1
    present = [s for s in STATES if s == "ok" or any(c[s] for c in counts.values())]
    several = len({encoder for encoder, _, _ in counts}) > 1
    table = _grid(*(["encoder"] if several else []), "task", "arm", "planned", *present)
    for (encoder, task, arm), count in counts.items():
        numbers = [str(count[s]) if count[s] else "" for s in present]
        _add(table, *([encoder] if several else []), task, arm, str(count.total()), *numbers)
    return table


def unfinished_lines(results: Results, *, every_failure: bool) -> Iterator[Text]:
    """Tell which runs crashed or ran out of time, and what to do about missing ones.

    Parameters
    ----------
    results : Results
        Of a study, complete or not.
    every_failure : bool
        Whether to list the failed and the diverged runs too, with their scores.

    Yields
    ------
    Text
        A line for each run, at most `LISTED` of a kind, and for what can be done.
    """
    by_state: dict[str, list[PlannedRun]] = {s: [] for s in STATES}
    for run in results.runs:
        by_state[_state(results, run)].append(run)
    for kind in ("crashed", "timeout", *(("diverged", "failed") if every_failure else ())):
        for run in by_state[kind][:LISTED]:
            yield Text(_line(kind, run, results.records[run.spec.id]))
        if len(by_state[kind]) > LISTED:
            yield Text(f"{kind:<8}  ... and {len(by_state[kind]) - LISTED} more; scores.csv of the report lists them")
    if every_failure and (by_state["failed"] or by_state["diverged"]):
        yield Text("`stabilitybench show ID` tells why a run failed")
    if by_state["crashed"] or by_state["timeout"]:
        yield Text("`stabilitybench run` with --retry does crashed and timed-out runs again")
    if by_state["missing"]:
        yield Text(f"{_runs(len(by_state['missing']))} missing: `stabilitybench run` does exactly these")
    if results.complete:
        yield Text(f"complete: all {_runs(len(results.runs))} have finished")
    yield from map(Text, results.mixed_versions())


def _line(kind: str, run: PlannedRun, record: dict[str, Any]) -> str:
    place = f"{kind:<8}  {run.spec.id[:SHORT]}  {run.task}  {run.arm}  seed {run.seed}"
    if kind in FINISHED:
        metric = run.spec.task.metrics[0]
        score, no_skill = record["scores"]["last"]["test"][metric], record["no_skill"]["test"]
        return printable(f"{place}  {metric} {points(score)} (no skill {points(no_skill)})")
    return printable(f"{place}  {record['reason']}")


def plan_table(study: Study) -> RenderableType:
    """Return what `run` would do for a study, and what its seeds can show: runs in the store and runs to do, by cell.

    Parameters
    ----------
    study : Study
        Everything of it is loaded and checked; nothing is trained or written.

    Raises
    ------
    UserError
        For an encoder, task or arm that cannot be run.
    """
    from stabilitybench.finetuning import resolved
    from stabilitybench.planning.seed_lines import seed_lines

    results = study.results()
    file = study.file
    cells: dict[tuple[str, str, str], list[PlannedRun]] = {}
    for run in results.runs:
        cells.setdefault((run.encoder, run.task, run.arm), []).append(run)
    several = len(file.encoders) > 1
    table = _grid(*(["encoder"] if several else []), "task", "arm", "rows", "steps", "runs", "in store", "to do")
    to_do = 0
    for (encoder, task, arm), runs in cells.items():
        stored = sum(run.spec.id in results.records for run in runs)
        to_do += len(runs) - stored
        spec = runs[0].spec
        rows = spec.n_train or len(spec.task.train)
        steps = resolved(spec.encoder, spec.task, spec.recipe, spec.stabilizers).total_steps(rows)
        numbers = (rows, steps, len(runs), stored, len(runs) - stored)
        _add(table, *([encoder] if several else []), task, arm, *map(str, numbers))
    lines = [f"{_runs(to_do)} to do; nothing was trained or written"]
    tuning, tuned = study.tuning_progress()
    if tuning:
        lines.insert(0, f"before them, {_runs(tuning)} choose settings, on seeds of their own; {tuned} in the store")
    return Group(*(Text(printable(line)) for line in (study.headline, *seed_lines(file))), table, *map(Text, lines))


def _grid(*columns: str) -> Table:
    from rich import box

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        words = column in ("encoder", "task", "arm")
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    # Names come from users: they are text, never markup.
    table.add_row(*(Text(printable(cell)) for cell in cells))


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"
