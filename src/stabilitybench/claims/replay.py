"""Trainings done again: a fixed sample of kept runs, or all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.claims.evidence_tables import conditions
from stabilitybench.statuses import FINISHED
from stabilitybench.storage.pool import Progress, Silent
from stabilitybench.studies import Study
from stabilitybench.studies.execution import Options, execute, workers

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.claims.judging import ClaimVerdict
    from stabilitybench.studies.spec import RunSpec

#: Runs of a replay, at most.
MOST = 60
#: How far the mean score of the replayed runs may lie from the kept one on another kind of machine, in SDs of the arm.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Replay:
    """A run done again.

    Attributes
    ----------
    study, task, arm : str
        Where it stands.
    seed : int
        Its seed.
    run_id : str
        Its id in the store.
    kept, again : float
        Its score then and now.
    same : bool
        Whether score and final weights agree to the last bit.
    """

    study: str
    task: str
    arm: str
    seed: int
    run_id: str
    kept: float
    again: float
    same: bool


def sample(table: pd.DataFrame, most: int = MOST, leave_out: Sequence[str] = ()) -> pd.DataFrame:
    """Return the runs of a replay: one of each arm in turn, the first by run id, which is as good as random.

    Parameters
    ----------
    table : DataFrame
        Kept runs.
    most : int, default 60
        How many of them, at most.
    leave_out : sequence of str, optional
        Studies that take too long for a replay.

    Returns
    -------
    DataFrame
        Rows of the table, by study and run id.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"study": list("aaabb"), "arm": list("xxyzz"), "run_id": list("31254")})
    >>> sample(runs, most=3)["run_id"].tolist()
    ['1', '2', '4']
    """
    part = table[~table["study"].isin(leave_out)].drop_duplicates("run_id").sort_values("run_id", kind="stable")
    turns = part.groupby(["study", "arm"]).cumcount()
    return part.loc[turns.sort_values(kind="stable").index[:most]].sort_values(["study", "run_id"])


def check_planned(table: pd.DataFrame, studies: str | Path, store: str | Path) -> None:
    """Make sure that every kept run is one that its study file plans.

    Parameters
    ----------
    table : DataFrame
        Kept runs.
    studies : str or Path
        The folder of the study files.
    store : str or Path
        Folder of finished runs.

    Raises
    ------
    MissingEvidence
        Where a run is not planned any more: its settings have changed.
    """
    for name, rows in table.groupby("study"):
        planned = {run.spec.id for run in Study.from_file(Path(studies) / f"{name}.toml", store=store).plan()}
        stray = sorted(set(rows["run_id"]) - planned)
        if stray:
            raise MissingEvidence(
                f"study {name}: {len(stray)} of {len(rows)} kept runs are not planned any more, such as {stray[0]}; "
                "something that determines their numbers has changed"
            )


def replay(
    table: pd.DataFrame, studies: str | Path, store: str | Path, *, jobs: int | None = None, device: str = "cpu",
    progress: Progress | None = None,
) -> list[Replay]:  # fmt: skip
    """Do the runs of `table` again, but for those that `store` already holds, and compare.

    Parameters
    ----------
    table : DataFrame
        Kept runs, at least one.
    studies : str or Path
        The folder of the study files.
    store : str or Path
        Folder of the runs done again.
    jobs : int, optional
        Worker processes; unset, one for each core, or each GPU.
    device : str, default "cpu"
        "auto", "cpu", "cuda" or "cuda:K".
    progress : Progress, optional
        Who watches.

    Returns
    -------
    list of Replay
        One for each row of the table.

    Raises
    ------
    MissingEvidence
        Where a run is not planned any more, or could not be done again.
    """
    check_planned(table, studies, store)
    specs: dict[str, RunSpec] = {}
    for name in sorted(table["study"].unique()):
        wanted = set(table.loc[table["study"] == name, "run_id"])
        study = Study.from_file(Path(studies) / f"{name}.toml", store=store)
        specs |= {run.spec.id: run.spec for run in study.plan() if run.spec.id in wanted}
    store_of = Study.from_file(Path(studies) / f"{table['study'].iloc[0]}.toml", store=store).store
    store_of.prepare()
    missing = [spec for spec in specs.values() if store_of.read(spec.id) is None]
    watcher = progress or Silent()
    options = Options(jobs, device)
    watcher.start(len(specs), len(specs) - len(missing), min(workers(options), max(1, len(missing))))
    try:
        if missing:
            execute(missing, store_of, options, watcher)
    finally:
        watcher.end()
    out = []
    for row in table.to_dict("records"):
        record = store_of.read(str(row["run_id"]))
        if record is None or record["status"] not in FINISHED:
            raise MissingEvidence(f"run {row['run_id']} of study {row['study']}: could not be done again")
        metric = specs[str(row["run_id"])].task.metrics[0]
        again = float(record["scores"]["last"]["test"][metric])
        same = again == row["score"] and record["weights"].startswith(str(row["weights"]))
        out.append(
            Replay(
                row["study"], row["task"], row["arm"], int(row["seed"]), str(row["run_id"]), row["score"], again, same
            )
        )
    return out


def drifted(now: ClaimVerdict, then: ClaimVerdict) -> str:
    """Return how a check of runs made again contradicts the kept one; empty where it does not.

    The kept effect must lie in the interval found now; where there is none, support must not have become
    contradiction, or the other way round.

    Parameters
    ----------
    now : ClaimVerdict
        Of the runs made again.
    then : ClaimVerdict
        Of the kept runs.
    """
    low, high, effect = now.finding.low, now.finding.high, then.finding.effect
    if low is not None and high is not None and effect is not None:
        return (
            "" if low <= effect <= high else f"the effect on record, {effect:.4g}, lies outside [{low:.4g}, {high:.4g}]"
        )
    turned = {now.verdict, then.verdict} == {"supported", "contradicted"}
    return f"{then.verdict} on record, {now.verdict} now" if turned else ""


def comparable_machine(path: str | Path) -> list[str]:
    """Return how this machine differs from the one that made the kept runs; empty where runs must repeat exactly.

    Parameters
    ----------
    path : str or Path
        What `stabilitybench.claims.evidence_tables.write_conditions` wrote there.
    """
    kept = json.loads(Path(path).read_text("utf-8"))
    here = conditions()
    return [f"{key}: {kept.get(key)} there, {here.get(key)} here" for key in here if kept.get(key) != here.get(key)]
