"""What a number of seeds can and cannot show, how many seeds a claim needs, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.argument_checks import choice, number, of_kind, several, whole
from stabilitybench.documents.formats import counted
from stabilitybench.errors import Argument, UserError
from stabilitybench.planning.effects import Effect, RatesEffect, SdRatioEffect
from stabilitybench.planning.pilot import ENOUGH_SCORES, Cell, Pilot, read_pilot
from stabilitybench.seeds import grid
from stabilitybench.statistics.decisions import first_step_level
from stabilitybench.statistics.power import Scores
from stabilitybench.statistics.seed_search import MOST_SEEDS
from stabilitybench.statuses import FINISHED

if TYPE_CHECKING:
    from stabilitybench.studies import Study
    from stabilitybench.studies.results import Results

#: Numbers of seeds to look at when none is given: what the literature uses.
USUAL_SEEDS = (10, 20, 50)
USUAL_RATIOS = (1.25, 1.5, 2.0, 3.0)
USUAL_RATES = ((0.2, 0.0), (0.5, 0.05))


@dataclass(frozen=True)
class Cost:
    """Runs and time.

    Attributes
    ----------
    per_seed : int
        Runs that one more seed per arm means.
    runs, stored : int
        Runs of the study as planned, tuning included, and those of them in the store.
    hours_to_do : float or None
        Time of what is not in the store, on one worker; None without timings.
    hours_per_seed : float or None
        Time of one more seed per arm, on one worker; None without timings.
    timed : str
        What the times come from, or why there are none.
    """

    per_seed: int
    runs: int
    stored: int
    hours_to_do: float | None
    hours_per_seed: float | None
    timed: str


@dataclass(frozen=True)
class Plan:
    """What to tell about a plan.

    Attributes
    ----------
    seeds : tuple of int
        Runs per arm to look at.
    tests : int
        Size of each family of tests.
    power : float
        Chance with which a true difference is to be shown.
    effects : tuple of SdRatioEffect or RatesEffect
        The differences asked for, or usual ones.
    scores : {"normal", "t4"} or tuple of float
        The distribution of the scores, or scores to resample.
    baseline_rates : tuple of float
        Failure rates of the baseline to look at.
    detectable : bool, default True
        Whether to tell all that the seeds show, beside the effects asked for.
    study : Study, optional
        The study as planned.
    cost : Cost, optional
        Given with a study.
    notes : tuple of str
        What a reader must know, one sentence each.
    """

    seeds: tuple[int, ...]
    tests: int
    power: float
    effects: tuple[Effect, ...]
    scores: Scores
    baseline_rates: tuple[float, ...]
    detectable: bool = True
    study: Study | None = None
    cost: Cost | None = None
    notes: tuple[str, ...] = ()

    @property
    def level(self) -> float:
        """The level of one test: that of Holm's first step, 0.05 / tests, the hardest one."""
        return first_step_level(self.tests)


def plan(
    study: Study | None = None,
    *,
    seeds: int | None = None,
    tests: int | None = None,
    sd_ratios: Sequence[float] = (),
    failures: tuple[float, float] | None = None,
    power: float = 0.8,
    scores: str | None = None,
    pilot: Pilot | Path | str | None = None,
) -> Plan:
    """Return what a number of seeds can and cannot show, how many seeds a claim needs, and what they cost.

    Parameters
    ----------
    study : Study, optional
        Gives seeds, family of tests, and costs; it is loaded and checked, nothing is trained or written. Without it,
        one of `seeds`, `sd_ratios` and `failures` is needed.
    seeds : int, optional
        Per arm, at least 2; unset, the study's own, or 10, 20 and 50.
    tests : int, optional
        In the family, 1 to 10,000; unset, one for each arm of the study on each task, or 1.
    sd_ratios : sequence of float, optional
        SD ratios to be shown: 0.01 to 100, not 1.
    failures : (float, float), optional
        Two failure rates to be told apart, of the arm and of the baseline.
    power : float, default 0.8
        Chance with which a true difference is to be shown, 0.05 to 0.99.
    scores : {"normal", "t4", "pilot"}, optional
        Distribution of the scores; "t4" has heavy tails. Unset, the pilot's where it has enough, or normal.
    pilot : Pilot or Path, optional
        Runs done before, or the results folder or CSV file that holds them.

    Returns
    -------
    Plan
        `stabilitybench.planning.view.plan_view` makes tables of it for the terminal.

    Raises
    ------
    UserError
        For numbers out of range, and for a pilot or a study that cannot be read.

    Examples
    --------
    >>> found = plan(sd_ratios=[2.0], tests=4)
    >>> found.effects[0].seeds(found.level, found.power) in range(30, 40)
    True
    """
    from stabilitybench.studies import Study  # a plan without a study needs none of it

    if study is not None:
        of_kind("study", study, "a Study, as Study.from_file returns it", Study)
    before = read_pilot(Path(pilot)) if isinstance(pilot, (str, Path)) else pilot
    if before is not None:
        of_kind("pilot", before, "the name of a results folder or CSV file, or a Pilot", Pilot)
    if study is not None:
        return _of_study(study, seeds, tests, sd_ratios, failures, power, scores, before)
    shape, notes = _scores(scores, before)
    effects = _effects(sd_ratios, failures, shape, usual=seeds is not None)
    looked_at = _checked((seeds,) if seeds is not None else USUAL_SEEDS, tests, power)
    told = seeds is not None
    return Plan(looked_at, tests or 1, power, effects, shape, (0.0, 0.5), detectable=told, notes=tuple(notes))


def _of_study(
    study: Study, seeds: int | None, tests: int | None, ratios: Sequence[float], rates: tuple[float, float] | None,
    power: float, scores: str | None, pilot: Pilot | None,
) -> Plan:  # fmt: skip
    """Return the plan of a study: its seeds, its family of tests, its runs, and hours from timings.

    Everything is loaded and checked on the way; nothing is trained or written.
    """
    if seeds is not None and seeds != len(grid(study.file.seeds)):  # the cost is that of the seeds asked about
        study = replace(study, file=study.file.model_copy(update={"seeds": seeds}))
    results = study.results()
    file = study.file
    shape, notes = _scores(scores, pilot)
    own = len(grid(file.seeds))
    comparisons = len(file.encoders) * len(file.tasks) * (len(file.arms) - 1)
    if not comparisons:
        notes.append("the study has one arm: nothing is compared with it, and the table is that of one comparison")
    if isinstance(file.seeds, dict):
        notes.append(
            "the seeds are crossed: runs that share a seed are not independent, so the true power is lower than shown"
        )
    effects = _effects(ratios, rates, shape, usual=True)
    looked_at = _checked((seeds or own,), tests, power)
    rate = pilot.failure_rate(file.baseline) if pilot else None
    rates_looked_at = tuple(dict.fromkeys((0.0, *((rate,) if rate is not None else ()), 0.5)))
    return Plan(
        looked_at, tests or max(1, comparisons), power, effects, shape, rates_looked_at, True,
        study, _cost(study, results, pilot), tuple(notes),
    )  # fmt: skip


def _cost(study: Study, results: Results, pilot: Pilot | None) -> Cost:
    file = study.file
    cells: dict[Cell, list[str]] = {}
    for run in results.runs:
        cells.setdefault((run.encoder, run.task, run.arm), []).append(run.spec.id)
    own: dict[Cell, list[float]] = {}
    for cell, ids in cells.items():
        found = [results.records[i]["seconds"] for i in ids if results.records.get(i, {}).get("status") in FINISHED]
        if found:
            own[cell] = found
    known = {**(pilot.seconds if pilot else {}), **{cell: sum(s) / len(s) for cell, s in own.items()}}
    seconds = {cell: _seconds_of(cell, known) for cell in cells}
    to_do = {cell: sum(i not in results.records for i in ids) for cell, ids in cells.items()}
    tuning, tuned = study.tuning_progress()
    total = sum(map(len, cells.values())) + tuning
    stored = total - sum(to_do.values()) - (tuning - tuned)
    unknown = [cell for cell, value in seconds.items() if value is None]
    if unknown:
        timed = (
            f"no hours: no run of {', '.join(filter(None, unknown[0]))} was timed; do one seed of each under another "
            f'name (seeds = 1, name = "{file.name}-timing"), or give a results folder as the pilot'
        )
        return Cost(len(cells), total, stored, None, None, timed)
    each = {cell: value for cell, value in seconds.items() if value is not None}
    todo_hours = sum(each[cell] * n for cell, n in to_do.items()) / 3600
    todo_hours += (tuning - tuned) * sum(each.values()) / len(each) / 3600
    sources = ([f"{counted(sum(map(len, own.values())), 'run')} in the store"] if own else []) + (
        [pilot.source] if pilot and pilot.seconds and set(own) != set(cells) else []
    )
    return Cost(
        len(cells), total, stored, todo_hours, sum(each.values()) / 3600,
        f"timed by {' and '.join(sources)}",
    )  # fmt: skip


def _seconds_of(cell: Cell, known: Mapping[Cell, float]) -> float | None:
    """Return the time of a run of `cell`: its own, or the mean over other arms, or of a file that names no task."""
    if cell in known:
        return known[cell]
    for near in ({cell[:2]}, {("", cell[1]), ("", "")}):
        times = [value for other, value in known.items() if other[:2] in near]
        if times:
            return sum(times) / len(times)
    return None


def _scores(asked: str | None, pilot: Pilot | None) -> tuple[Scores, list[str]]:
    """Return where to draw scores from: the pilot where it holds enough, else normal ones."""
    if asked is not None:
        choice("scores", asked, ("normal", "t4", "pilot"))
    if asked == "pilot" and pilot is None:
        raise UserError(Argument("scores", asked), ": needs ", Argument("pilot"), ", a results folder or a CSV file")
    if asked == "normal" or asked == "t4":
        return asked, []
    if pilot is not None and len(pilot.scores) >= ENOUGH_SCORES:
        return tuple(pilot.scores.tolist()), []
    if asked == "pilot":
        raise UserError(
            Argument("scores", asked),
            f": {pilot.source if pilot else ''} has {0 if pilot is None else len(pilot.scores)} scores "
            f"to draw from, in groups of 3 or more that differ; needs {ENOUGH_SCORES}",
        )
    few = f"the pilot has fewer than {ENOUGH_SCORES} scores to draw from: scores are taken as normal"
    return "normal", [few] if pilot else []


def _effects(
    sd_ratios: Sequence[float], failures: tuple[float, float] | None, shape: Scores, *, usual: bool
) -> tuple[Effect, ...]:
    allowed = "must lie between 0.01 and 100 and differ from 1, for example 2"
    ratios = [
        number("sd_ratios", value, allowed, lambda ratio: 0.01 <= ratio <= 100 and ratio != 1)
        for value in several("sd_ratios", sd_ratios, "SD ratios", object)
    ]
    if failures is None and not ratios:
        if not usual:
            named = (Argument("sd_ratios"), ", ", Argument("failures"), " or ", Argument("seeds"))
            raise UserError("plan: give a study, or ", *named)
        return (*(SdRatioEffect(r, shape) for r in USUAL_RATIOS), *(RatesEffect(*pair) for pair in USUAL_RATES))
    effects: list[Effect] = [SdRatioEffect(r, shape) for r in ratios]
    if failures is not None:
        rates = [
            number("failures", rate, "must be a rate between 0 and 1, for example 0.05", lambda share: 0 <= share <= 1)
            for rate in several("failures", failures, "two failure rates", object)
        ]
        if len(rates) != 2 or rates[0] == rates[1]:
            raise UserError(Argument("failures", rates), ": must be two rates that differ")
        effects.append(RatesEffect(*rates))
    return tuple(effects)


def _checked(seeds: tuple[int, ...], tests: int | None, power: float) -> tuple[int, ...]:
    for n in seeds:
        whole("seeds", n, f"must lie between 2 and {MOST_SEEDS}", lambda seeds: 2 <= seeds <= MOST_SEEDS)
    if tests is not None:
        whole("tests", tests, "must lie between 1 and 10000", lambda count: 1 <= count <= 10_000)
    number("power", power, "must lie between 0.05 and 0.99", lambda chance: 0.05 <= chance <= 0.99)
    return seeds
