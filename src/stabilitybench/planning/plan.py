"""What a number of seeds can and cannot show, how many seeds a claim needs, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from stabilitybench.argument_checks import choice, flag, number, of_kind, several, whole
from stabilitybench.errors import Argument, UserError
from stabilitybench.planning.assumptions import Assumed, assumed
from stabilitybench.planning.cost import Cost, cost_of
from stabilitybench.planning.effects import Effect, FailureEffect, LevelEffect, SpreadEffect
from stabilitybench.planning.pilot import Pilot, read_pilot
from stabilitybench.power.failures import chance_to_tell
from stabilitybench.power.questions import Look, one_look
from stabilitybench.power.seed_search import first_reaching
from stabilitybench.power.simulated_studies import MOST_RUNS, Conditions
from stabilitybench.seeds import grid
from stabilitybench.statistics.decisions import first_step_level
from stabilitybench.statistics.looks import BOUNDS, Bounds, look_levels

if TYPE_CHECKING:
    from stabilitybench.studies import Study
    from stabilitybench.studies.results import Results

#: Numbers of seeds to look at when none is given: what the literature uses.
USUAL_SEEDS = (10, 20, 50)
USUAL_EFFECTS: tuple[Effect, ...] = (
    *map(SpreadEffect, (0.8, 0.67, 0.5, 0.33)),
    *map(LevelEffect, (1.0, 2.0, 5.0)),
    FailureEffect(0.0, 0.2),
    FailureEffect(0.05, 0.5),
)


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
    effects : tuple of Effect
        The differences asked for, or usual ones.
    assumed : Assumed
        What the scores are taken to be like, and why.
    baseline_rates : tuple of float
        Failure rates of the baseline to look at.
    looks : tuple of int
        Runs per arm at each declared look; empty for one look at the end.
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        How the error is shared out over the looks.
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
    assumed: Assumed
    baseline_rates: tuple[float, ...]
    looks: tuple[int, ...] = ()
    bounds: Bounds = "pocock"
    detectable: bool = True
    study: Study | None = None
    cost: Cost | None = None
    notes: tuple[str, ...] = ()

    @property
    def alpha(self) -> float:
        """The level of one question of one arm: that of Holm's first step, 0.05 / tests, the hardest one."""
        return first_step_level(self.tests)

    @property
    def conditions(self) -> Conditions:
        """What the scores are taken to be like."""
        return self.assumed.conditions

    def looks_of(self, n: int, tests: int | None = None) -> tuple[Look, ...]:
        """Return the looks of a study of n runs per arm: declared ones, shifted in proportion where n is another.

        Parameters
        ----------
        n : int
            At the last look.
        tests : int, optional
            In the family; unset, all.
        """
        alpha = first_step_level(self.tests if tests is None else tests)
        if not self.looks:
            return one_look(n, alpha)
        sizes = sorted({max(2, round(n * size / self.looks[-1])) for size in self.looks[:-1]} - {n})
        sizes = [size for size in sizes if size < n] + [n]
        levels = look_levels(sizes, alpha, self.bounds)
        return tuple(Look(size, size, level) for size, level in zip(sizes, levels, strict=True))

    def power_of(self, effect: Effect, n: int) -> float:
        """Return the chance that n runs per arm show a difference, where the other arms are as the baseline.

        It is that of the hardest step of Holm's method. Arms of which no run, or of whose pairs none, tells the
        failures apart leave the family of failures, as they do in a report.

        Parameters
        ----------
        effect : Effect
            The difference.
        n : int
            Runs per arm.
        """
        if not isinstance(effect, FailureEffect) or self.tests == 1:
            return effect.power(self.looks_of(n), self.conditions)
        told = chance_to_tell(effect.baseline, n, self.conditions.paired)
        families = stats.binom.pmf(np.arange(self.tests), self.tests - 1, told)
        return float(
            sum(
                share * effect.power(self.looks_of(n, 1 + others), self.conditions)
                for others, share in enumerate(families.tolist())
                if share > 1e-4
            )
        )

    def seeds_of(self, effect: Effect) -> int | None:
        """Return the runs per arm that a difference needs, or None where 1,000 are not enough.

        Parameters
        ----------
        effect : Effect
            The difference.
        """
        return first_reaching(
            lambda n: self.power_of(effect, n) >= self.power, effect.fewest, MOST_RUNS, after=effect.dips
        )


def plan(
    study: Study | None = None,
    *,
    seeds: int | None = None,
    tests: int | None = None,
    spread: Sequence[float] = (),
    level: Sequence[float] = (),
    failures: tuple[float, float] | None = None,
    power: float = 0.8,
    looks: Sequence[int] = (),
    bounds: str = "pocock",
    pilot: Pilot | Path | str | None = None,
    scores: str | None = None,
    correlation: float | None = None,
    paired: bool = True,
    sd: float | None = None,
    rows: int | None = None,
) -> Plan:
    """Return what a number of seeds can and cannot show, how many seeds a claim needs, and what they cost.

    Powers are those of the tests of the report: `stabilitybench.power.questions`.

    Parameters
    ----------
    study : Study, optional
        Gives seeds, looks, family of tests, test rows, and costs; it is loaded and checked, nothing is trained or
        written. Without it, one of `seeds`, `looks`, `spread`, `level` and `failures` is needed.
    seeds : int, optional
        Per arm, 2 to 1,000; unset, the study's own, the last look, or 10, 20 and 50.
    tests : int, optional
        In each family, 1 to 10,000; unset, one for each arm of the study on each task, or 1.
    spread : sequence of float, optional
        Ratios of spread to be shown: 0.01 to 100, not 1.
    level : sequence of float, optional
        Differences of means to be shown, in points: -100 to 100, not 0.
    failures : (float, float), optional
        Two failure rates to be told apart, of the arm and of the baseline. Spread and level are then planned for arms
        that fail so often.
    power : float, default 0.8
        Chance with which a true difference is to be shown, 0.05 to 0.99.
    looks : sequence of int, optional
        Seeds per arm at each look, ascending; unset, the study's own.
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        How the error is shared out over the looks; a study's own come first.
    pilot : Pilot or Path, optional
        Runs done before, or the results folder or CSV file that holds them: they give shape, SD, correlation and
        failures.
    scores : {"normal", "t3", "contaminated", "pilot"}, optional
        Shape of the scores; the second and the third have heavy tails. Unset, the pilot's where it has enough, or
        normal.
    correlation : float, optional
        Of the two runs of a seed, -1 to 1; unset, the pilot's, or 0.
    paired : bool, default True
        Whether the arms share their seeds, as those of a study do, so that the report compares pairs.
    sd : float, optional
        SD of the baseline's runs that do not fail, in points; unset, the pilot's, or 2.
    rows : int, optional
        Test rows of a task scored by accuracy; unset, the study's own, else scores are fine.

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
    >>> found = plan(spread=[0.5], tests=4)
    >>> found.seeds_of(found.effects[0]) in range(30, 40)
    True
    """
    from stabilitybench.studies import Study  # a plan without a study needs none of it

    if study is not None:
        of_kind("study", study, "a Study, as Study.from_file returns it", Study)
    before = read_pilot(Path(pilot)) if isinstance(pilot, (str, Path)) else pilot
    if before is not None:
        of_kind("pilot", before, "the name of a results folder or CSV file, or a Pilot", Pilot)
    if seeds is not None:
        whole("seeds", seeds, f"must lie between 2 and {MOST_RUNS}", lambda n: 2 <= n <= MOST_RUNS)
    if tests is not None:
        whole("tests", tests, "must lie between 1 and 10000", lambda count: 1 <= count <= 10_000)
    number("power", power, "must lie between 0.05 and 0.99", lambda chance: 0.05 <= chance <= 0.99)
    declared, shared_out = _looks(study, looks, choice("bounds", bounds, BOUNDS))
    rates = _rates(failures)
    asked = (*_spread(spread), *_level(level), *([FailureEffect(*rates)] if rates else []))
    assume = partial(
        assumed, before, scores=scores, correlation=correlation, paired=flag("paired", paired), sd=sd, failures=rates
    )
    if study is None:
        if not asked and seeds is None and not declared:
            spread_, level_, failures_, seeds_ = map(Argument, ("spread", "level", "failures", "seeds"))
            raise UserError("plan: give a study, or ", spread_, ", ", level_, ", ", failures_, " or ", seeds_)
        n = seeds or (declared[-1] if declared else None)
        taken = assume(baseline=None, rows=rows)
        return Plan(
            USUAL_SEEDS if n is None else (n,), tests or 1, power, asked or USUAL_EFFECTS, taken, (0.0, 0.5),
            declared, shared_out, detectable=n is not None, notes=taken.notes,
        )  # fmt: skip
    n = seeds or (declared[-1] if declared else len(grid(study.file.seeds)))
    whole("seeds", n, f"must lie between 2 and {MOST_RUNS}", lambda runs: 2 <= runs <= MOST_RUNS)
    if n != len(grid(study.file.seeds)):  # the cost is that of the seeds asked about
        study = replace(study, file=study.file.model_copy(update={"seeds": n}))
    results = study.results()
    file = study.file
    notes = []
    comparisons = len(file.encoders) * len(file.tasks) * (len(file.arms) - 1)
    if not comparisons:
        notes.append("the study has one arm: nothing is compared with it, and the table is that of one comparison")
    if isinstance(file.seeds, dict):
        notes.append(
            "the seeds are crossed: runs that share a seed are not independent, so the true power is lower than shown"
        )
    taken = assume(baseline=file.baseline, rows=rows or _test_rows(results))
    rate = taken.conditions.failures[1]
    return Plan(
        (n,), tests or max(1, comparisons), power, asked or USUAL_EFFECTS, taken,
        tuple(dict.fromkeys((0.0, rate, 0.5))), declared, shared_out, True, study, cost_of(study, results, before),
        (*notes, *taken.notes),
    )  # fmt: skip


def _looks(study: Study | None, asked: Sequence[int], bounds: Bounds) -> tuple[tuple[int, ...], Bounds]:
    """Return the looks asked for, else the study's own, checked."""
    sizes = tuple(several("looks", asked, "numbers of seeds", int))
    if not sizes and study is not None and study.file.looks is not None:
        return tuple(study.file.looks.sizes), study.file.looks.bounds
    if sizes:
        allowed = f"must be two or more numbers of seeds that ascend from 2 to {MOST_RUNS} at most"
        if len(sizes) < 2 or sizes[0] < 2 or sizes[-1] > MOST_RUNS or any(b <= a for a, b in pairwise(sizes)):
            raise UserError(Argument("looks", list(sizes)), f": {allowed}")
    return sizes, bounds


def _test_rows(results: Results) -> int | None:
    """Return the rows of the smallest test split that is scored by accuracy, or None."""
    tasks = [run.spec.task for run in results.runs]
    return min((len(task.test) for task in tasks if task.metrics[0] == "accuracy"), default=None)


def _spread(ratios: Sequence[float]) -> tuple[SpreadEffect, ...]:
    allowed = "must lie between 0.01 and 100 and differ from 1, for example 0.5"
    return tuple(
        SpreadEffect(number("spread", value, allowed, lambda ratio: 0.01 <= ratio <= 100 and ratio != 1))
        for value in several("spread", ratios, "ratios", object)
    )


def _level(differences: Sequence[float]) -> tuple[LevelEffect, ...]:
    allowed = "must be a difference in points between -100 and 100, not 0"
    return tuple(
        LevelEffect(number("level", value, allowed, lambda points: abs(points) <= 100 and points != 0))
        for value in several("level", differences, "differences", object)
    )


def _rates(failures: tuple[float, float] | None) -> tuple[float, float] | None:
    if failures is None:
        return None
    rates = [
        number("failures", rate, "must be a rate between 0 and 1, for example 0.05", lambda share: 0 <= share <= 1)
        for rate in several("failures", failures, "two failure rates", object)
    ]
    if len(rates) != 2 or rates[0] == rates[1]:
        raise UserError(Argument("failures", rates), ": must be two rates that differ")
    return rates[0], rates[1]
