"""From the results of a study to its report: everything the page says beside the scores."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.argument_checks import of_kind, path
from stabilitybench.comparison.agreement import Predictions
from stabilitybench.comparison.analysis import compare
from stabilitybench.comparison.model import Comparison
from stabilitybench.comparison.report import ReportPaths, build, in_order, write
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.documents.formats import counted
from stabilitybench.errors import shown
from stabilitybench.finetuning import resolved
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import STREAMS, TUNING_OFFSET
from stabilitybench.studies.store import versions

if TYPE_CHECKING:
    from stabilitybench.stabilizers import Stabilizer
    from stabilitybench.studies import Results

#: Recipe fields the methods paragraph names, in the order to print.
SAID = (
    "learning_rate", "batch_size", "epochs", "steps", "warmup", "schedule", "weight_decay", "clip", "dropout",
    "max_length", "precision", "evaluations",
)  # fmt: skip


def report(
    results: Results, folder: Path | str, predictions: Predictions | None = None, *, unpaired: bool = False
) -> tuple[Comparison, ReportPaths]:
    """Compare the arms of a study and write report.html, report.md, tables.tex and scores.csv.

    Parameters
    ----------
    results : Results
        Of a study, complete or not; unfinished runs are counted and enter no statistic.
    folder : Path
        Where to write; it is made where it is not there.
    predictions : callable, optional
        `study.store.predictions`, for the disagreement of runs; without it the report says nothing of that.
    unpaired : bool, default False
        Whether to take runs of equal seeds as independent all the same; the verdicts then say so.

    Returns
    -------
    comparison : Comparison
        Each arm against the baseline.
    paths : ReportPaths
        Where the files are.

    Raises
    ------
    EnvironmentFailure
        Where `folder` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from stabilitybench import Study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = Study.from_dict({
    ...         "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2,
    ...         "baseline": "plain", "arms": {"plain": [], "mixout": ["mixout"]},
    ...     }, store=Path(folder, "runs"))
    ...     comparison, paths = report(study.results(), folder)
    >>> [f"{cell.arm}: {cell.n} of {cell.planned} runs" for cell in comparison.cells]
    ['plain: 0 of 2 runs', 'mixout: 0 of 2 runs']
    """
    from stabilitybench.studies import Results

    of_kind("results", results, "the results of a study, as Study.run returns them", Results)
    folder = path("folder", folder)
    scores = results.to_frame()
    facts = study_facts(results)
    comparison = compare(in_order(scores, facts), facts.baseline, unpaired=unpaired, look=results.look)
    built = build(comparison, scores, results.curves(), facts, predictions)
    return comparison, write(built, scores, folder)


def study_facts(results: Results) -> StudyFacts:
    """Return what a report must say of a study beside its scores.

    Parameters
    ----------
    results : Results
        Of a study, complete or not.
    """
    import tomli_w

    study = results.study
    varied, fixed = _streams(study.seeds)
    built = [s for arm in study.arms for s in study.stabilizers(arm)]
    return StudyFacts(
        name=study.name,
        baseline=study.baseline,
        arms={arm: _arm(results, arm) for arm in study.arms},
        recipe=_recipe(results),
        varied=varied,
        fixed=fixed,
        references=tuple(dict.fromkeys(s.paper for s in built if s.paper)),
        spec_toml=tomli_w.dumps(_without_none(study.plain())),
        environment=_environment(results),
        warnings=tuple(dict.fromkeys(results.warnings())),
    )


def _arm(results: Results, arm: str) -> list[str]:
    """Say what an arm does: its stabilizers, its own recipe fields, what these change in the recipe, what was tuned."""
    study = results.study
    lines = []
    for stabilizer in study.stabilizers(arm):
        lines.append(_called(stabilizer) + (f" after {stabilizer.paper}" if stabilizer.paper else ""))
    lines += [f"{key} = {shown(value)}" for key, value in study.arms[arm].recipe.items()]
    spec = next(run.spec for run in results.runs if run.arm == arm)
    own = study.arm_recipe(arm).model_dump()
    trained = resolved(spec.encoder, spec.task, study.arm_recipe(arm), spec.stabilizers).model_dump()
    changed = {k: v for k, v in trained.items() if v != own[k] and own[k] is not None}
    if changed:
        lines.append("which sets " + ", ".join(f"{key} = {shown(value)}" for key, value in changed.items()))
    for (encoder, task, tuned_arm), choice in results.tuned.items():
        if tuned_arm == arm:
            where = f"{task}, {encoder}" if len(study.encoders) > 1 else task
            run = next(r.spec for r in results.runs if (r.encoder, r.task, r.arm) == (encoder, task, arm))
            used = resolved(run.encoder, run.task, run.recipe, run.stabilizers).model_dump()
            # What the arm or one of its stabilizers sets stands above what was tuned.
            kept = {key: value for key, value in choice.items() if used[key] == value}
            if kept:
                chosen = ", ".join(f"{key} = {shown(value)}" for key, value in kept.items())
                lines.append(f"tuned on {where}: {chosen}")
    return lines


def _called(stabilizer: Stabilizer) -> str:
    """Name a stabilizer with all its settings, the default ones too."""
    given = {f.name: getattr(stabilizer, f.name) for f in fields(stabilizer)}  # type: ignore[arg-type]
    said = ", ".join(f"{key} = {shown(value)}" for key, value in given.items() if value is not None)
    return f"{stabilizer.name} with {said}" if said else stabilizer.name


def _recipe(results: Results) -> dict[str, Any]:
    """Return the recipe before an arm changes it; encoders that name different rates are told apart."""
    study = results.study
    recipe = Recipe(**study.recipe)
    said: dict[str, Any] = {key: getattr(recipe, key) for key in SAID}
    if recipe.steps is not None:
        said["epochs"] = None
    if recipe.learning_rate is None:
        rates = {run.encoder: run.spec.encoder.learning_rate for run in results.runs}
        same = len(set(rates.values())) == 1
        each = ", ".join(f"{rate:g} for {name}" for name, rate in rates.items())
        said["learning_rate"] = next(iter(rates.values())) if same else each
    if recipe.clip == 0:
        said["clip"] = "off"
    out = {"mode": recipe.mode, "optimizer": "AdamW" if recipe.bias_correction else "Adam without bias correction"}
    if study.tune is not None:
        grid = "; ".join(f"{key} from {shown(values)}" for key, values in study.tune.grid.items())
        whom = "for each arm" if study.tune.scope == "arm" else f'with the arm "{study.baseline}" for all arms'
        out["tuned"] = (
            f"by mean validation score over {study.tune.seeds} seeds of their own ({TUNING_OFFSET} and up, apart from "
            f"the seeds reported) {whom}: {grid}"
        )
    return out | said


def _streams(design: int | dict[str, int]) -> tuple[str, str]:
    """Say which seed streams varied and which stayed fixed."""
    together = isinstance(design, int)
    counts = {s: 1 if s == "subset" else design for s in STREAMS} if isinstance(design, int) else dict(design)
    varied = [str(s) for s in STREAMS if counts.get(s, 1) > 1]
    fixed = [str(s) for s in STREAMS if s not in varied]
    how = " (together)" if together else " (crossed)" if len(varied) > 1 else ""
    return (_listed(varied) + how) if varied else "nothing", _listed(fixed) if fixed else "nothing"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]


def _environment(results: Results) -> dict[str, str]:
    """Return versions, machines and devices of the stored runs, with their counts where runs differ."""
    records = list(results.records.values())
    keys = list(dict.fromkeys(key for r in records for key in r["versions"])) or list(versions())
    told = {key: _several(Counter(str(r["versions"].get(key, "?")) for r in records)) for key in keys}
    told["machine"] = _several(Counter(str(r["machine"]) for r in records))
    told["device"] = _several(Counter(str(r["device"]) for r in records if "device" in r))
    told["reported on"] = f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"
    seconds = sum(r["seconds"] for r in records if "seconds" in r)
    told["training time"] = f"{seconds / 60:.1f} minutes in all, summed over runs"
    return told


def _several(counts: Counter[str]) -> str:
    if len(counts) <= 1:
        return next(iter(counts), "")
    return ", ".join(f"{value} ({counted(n, 'run')})" for value, n in counts.most_common())


def _without_none(value: Any) -> Any:
    """Leave out keys without a value, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
