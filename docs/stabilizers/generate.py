"""Write the pages of this folder, and the tables of ../stabilizers.md, from the docstrings and from what was measured.

    python docs/stabilizers/generate.py                    # pages and figures, from methods.csv and costs.csv
    python docs/stabilizers/generate.py collect STUDY.toml --store STORE
    python docs/stabilizers/generate.py costs [METHOD ...] # each beside the plain recipe, half a minute a method

`collect` takes the finished runs of a study into methods.csv (one row per run), in place of those of the same arms.
`costs` trains a few steps of every method and of the plain recipe in turn, in one process and on one thread, and writes
costs.csv.  The same tables give the same pages.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from method_figure import method_figure
from method_page import method_page

from stabilitybench.comparison import compare
from stabilitybench.comparison.model import Comparison
from stabilitybench.comparison.score_table import STREAMS, check_scores, finished
from stabilitybench.documents import formats
from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Stabilizer, build, catalogue
from stabilitybench.studies import Study
from stabilitybench.tasks import load_task
from stabilitybench.tasks.base import Split, Task
from stabilitybench.testing import check_stabilizer

HERE = Path(__file__).parent
RUNS, COSTS, INDEX = HERE / "methods.csv", HERE / "costs.csv", HERE.parent / "stabilizers.md"
BASELINE = "debiased-adam"
KEPT = (
    "run_id", "encoder", "task", "arm", "stabilizers", "recipe", "seed", "n_train", "status", "metric", "score",
    "score_best", "validation", "validation_best", "no_skill", "failed", "near_no_skill", "constant", "train_loss",
    "seconds", "device",
)  # fmt: skip
ROUNDS, STEPS = 3, 12


# -- the tables that are kept -------------------------------------------------------------------------------------


def collect(study_file: str, store: str, path: Path = RUNS) -> int:
    """Put the finished runs of a study into the table; return how many rows it has now."""
    results = Study.from_file(study_file, store=store).results()
    frame = finished(results.to_frame())
    methods, recipes = {}, {}
    for arm, declared in results.study.arms.items():
        methods[arm] = " + ".join(s.describe() for s in results.study.stabilizers(arm))
        recipes[arm] = ", ".join(f"{key} = {value}" for key, value in declared.recipe.items())
    frame = frame.assign(stabilizers=frame["arm"].map(methods), recipe=frame["arm"].map(recipes))[list(KEPT)]
    if path.exists():
        old = pd.read_csv(path, keep_default_na=False, na_values={"train_loss": [""]})
        mine = set(zip(frame["encoder"], frame["task"], frame["arm"], strict=True))
        known = [key in mine for key in zip(old["encoder"], old["task"], old["arm"], strict=True)]
        frame = pd.concat([old[[not k for k in known]], frame], ignore_index=True)
    frame = frame.sort_values(["encoder", "task", "arm", "seed"], kind="stable")
    frame.round({"train_loss": 4, "seconds": 1}).to_csv(path, index=False, lineterminator="\n", float_format="%.7g")
    return len(frame)


def read_runs(path: Path = RUNS) -> pd.DataFrame | None:
    """Return the kept runs as a report wants them, or None where there are none."""
    if not path.exists():
        return None
    frame = pd.read_csv(path, dtype={"run_id": str}, keep_default_na=False, na_values={"train_loss": [""]})
    streams = {f"seed_{s}": 0 if s == "subset" else frame["seed"] for s in STREAMS}
    return check_scores(frame.assign(**streams))


def measure_costs(names: list[str], path: Path = COSTS) -> None:
    """Measure time and memory of the named methods (of all, where none is named) beside the plain recipe."""
    encoder, task = load_encoder("pocket/bert-small"), _short(load_task("pocket/acceptability"))
    found = read_costs(path)
    for name in names or catalogue():
        method = build(name)
        # the first round is left out: whatever is loaded once is loaded there
        seconds = [(_step(encoder, task, ()), _step(encoder, task, (method,))) for _ in range(ROUNDS + 1)][1:]
        ratio = statistics.median(own / plain for plain, own in seconds)
        checked = check_stabilizer(method)
        if not checked.ok or checked.memory_ratio is None:
            raise UserError(f"{name}: does not pass `stabilitybench check {name}`")
        found[name] = {"time": ratio, "memory": checked.memory_ratio}
        print(f"{name}: {ratio:.2f} times the time, {checked.memory_ratio:.2f} times the memory", flush=True)
        rows = [{"method": key, **found[key]} for key in sorted(found)]
        pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n", float_format="%.3g")


def _short(task: Task) -> Task:
    """Return the task with few rows: training is what is timed."""

    def head(split: Split, rows: int) -> Split:
        second = None if split.second is None else split.second[:rows]
        return replace(split, ids=split.ids[:rows], first=split.first[:rows], second=second, labels=split.labels[:rows])

    return replace(task, train=head(task.train, 64), validation=head(task.validation, 16), test=head(task.test, 16))


def _step(encoder: Encoder, task: Task, methods: tuple[Stabilizer, ...]) -> float:
    """Return the CPU seconds of a training step: of a longer run without those of a run of one step."""
    taken = []
    for steps in (1, 1 + STEPS):
        started = time.process_time()
        done = finetune(encoder, task, Recipe(steps=steps, evaluations=1), methods)
        taken.append((time.process_time() - started, done.total_steps))
    (short, few), (long, many) = taken
    # methods that set the number of steps themselves ran as many both times
    return (long - short) / (many - few) if many > few else long / many


def read_costs(path: Path = COSTS) -> dict[str, dict[str, float]]:
    """Return the kept costs by method."""
    if not path.exists():
        return {}
    return {name: {"time": t, "memory": m} for name, t, m in pd.read_csv(path).itertuples(index=False)}


# -- pages --------------------------------------------------------------------------------------------------------


def arms_of(name: str, runs: pd.DataFrame) -> list[str]:
    """Return the arms that consist of this method alone, whatever its parameters."""
    told = runs.drop_duplicates("arm").set_index("arm")["stabilizers"]
    return [str(arm) for arm, text in told.items() if text.partition("(")[0] == name and " + " not in text]


def write(folder: Path = HERE, index: Path = INDEX, *, figures: bool = True) -> list[Path]:
    """Write every page into `folder`, and the tables into `index`; return the pages."""
    runs, costs = read_runs(), read_costs()
    everything = None if runs is None else compare(runs, BASELINE)
    paths, measured = [], []
    for name, cls in catalogue().items():
        if not cls.__module__.startswith("stabilitybench.stabilizers."):
            continue
        comparison, own = None, None
        if everything is not None and runs is not None and (arms := arms_of(name, runs)):
            shown = [BASELINE, *(a for a in arms if a != BASELINE)]
            cells = tuple(c for c in everything.cells if c.arm in shown)
            # a task on which nothing but the baseline has run is no news
            own_tasks = {c.task for c in cells if c.arm in arms}
            comparison = replace(everything, cells=tuple(c for c in cells if c.task in own_tasks))
            own = runs[runs["arm"].isin(shown) & runs["task"].isin(own_tasks)]
            measured.append((name, comparison))
            if figures and arms != [BASELINE]:
                svg = method_figure(finished(own), shown)
                (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        path = folder / f"{name}.md"
        path.write_text(method_page(cls, comparison, own, costs.get(name)), encoding="utf-8")
        paths.append(path)
    text = index.read_text("utf-8")
    text = _between(text, "methods", _list())
    text = _between(text, "measured", _overview(measured, costs))
    index.write_text(text, encoding="utf-8")
    return paths


def _between(text: str, mark: str, lines: list[str]) -> str:
    start, end = f"<!-- {mark}: written by stabilizers/generate.py -->", f"<!-- end of {mark} -->"
    before, rest = text.split(start)
    return "\n".join([before + start, *lines, end]) + rest.split(end)[1]


def _list() -> list[str]:
    lines = ["| name | what it does | paper |", "|---|---|---|"]
    for name, cls in catalogue().items():
        if cls.__module__.startswith("stabilitybench.stabilizers."):
            lines.append(f"| [`{name}`](stabilizers/{name}.md) | {cls.summary()} | {cls.paper or 'control'} |")
    return lines


def _overview(measured: list[tuple[str, Comparison]], costs: dict[str, dict[str, float]]) -> list[str]:
    """Return one row per arm: cost of a step, and on each task failures, mean, SD and what the tests say."""
    if not measured:
        return ["Nothing measured yet."]
    tasks = list(dict.fromkeys(c.task for _, comparison in measured for c in comparison.cells))
    lines = ["| arm | time of a step | " + " | ".join(tasks) + " |", "|---|---:|" + "---|" * len(tasks)]
    for name, comparison in measured:
        for arm in dict.fromkeys(c.arm for c in comparison.cells if not c.is_baseline or name == BASELINE):
            cells = {c.task: c for c in comparison.cells if c.arm == arm}
            said = []
            for task in tasks:
                cell = cells.get(task)
                if cell is None:
                    said.append("")
                    continue
                text = f"{formats.mean_sd(cell.mean, cell.sd)}"
                text += f", {cell.failure.failed}/{cell.n} failed" if cell.failure.failed else ""
                shown = [line.claim for line in cell.verdict.lines if line.tone != "neutral"] if cell.verdict else []
                said.append(f"**{text}: {', '.join(shown)}**" if shown else text)
            cost = f"{costs[name]['time']:.2f}" if name in costs else ""
            lines.append(f"| [`{arm}`](stabilizers/{name}.md) | {cost} | " + " | ".join(said) + " |")
    return lines


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("pages", "collect", "costs"), default="pages")
    parser.add_argument("names", nargs="*", help="the study file, for collect; methods, for costs")
    parser.add_argument("--store", default="store")
    given = parser.parse_args()
    try:
        if given.what == "collect":
            for study in given.names or parser.error("collect needs a study file"):
                print(f"{collect(study, given.store)} runs in {RUNS}")
        elif given.what == "costs":
            measure_costs(given.names)
        else:
            for path in write():
                print(path)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
