"""Twelve plans drawn at random against studies simulated apart from them, judged one by one by the rules of the report.

`python -m pytest -m slow tests/planning/test_plans_come_true.py -s` prints what each plan promised and what came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pytest
from scipy import optimize, stats

from stabilitybench.comparison import compare
from stabilitybench.planning.effects import Effect, FailureEffect, LevelEffect, SpreadEffect
from stabilitybench.planning.plan import Plan, plan
from stabilitybench.statistics import holm
from stabilitybench.statistics.decisions import ALPHA, is_claimed
from stabilitybench.statistics.looks import looks_adjusted
from stabilitybench.statistics.pairing import Pairing, independent, pairing
from stabilitybench.statistics.questions import Answer, Runs, failure_question, level_question, spread_question
from support.score_frames import study_frames

PLANS = 12
STUDIES = 2_000
#: Studies of each plan of which a whole report is made, whose printed verdict must say the same.
REPORTS = 6
MEAN = 0.7
CHANCE = 0.3


@dataclass(frozen=True)
class Case:
    """A plan, and the number of seeds that it is asked about."""

    plan: Plan
    n: int


def cases() -> list[Case]:
    """Draw the plans: targets, seeds, pairing, test rows, tails, failures, looks and family."""
    rng = np.random.default_rng(14)
    drawn = []
    for _ in range(PLANS):
        n = int(rng.choice([10, 12, 16, 20, 24, 30, 40]))
        paired = bool(rng.random() < 0.7)
        failures = [None, None, (0.05, 0.3), (0.4, 0.1)][rng.integers(4)]
        found = plan(
            seeds=n,
            spread=[round(float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.3, 1.0))), 2)],
            level=[round(float(rng.choice([-1, 1]) * rng.uniform(0.5, 3.0) * (1 if failures is None else 3)), 1)],
            failures=failures,
            paired=paired,
            correlation=round(float(rng.choice([0.0, 0.5, 0.8])), 1) if paired else None,
            sd=round(float(rng.uniform(0.8, 3.0)), 1),
            rows=[None, 138, 277][rng.integers(3)],
            scores=str(rng.choice(["normal", "normal", "t3", "contaminated"])),
            tests=int(rng.choice([1, 2, 4])),
            looks=[n // 2, n] if rng.random() < 0.3 else [],
        )
        drawn.append(Case(found, n))
    return drawn


CASES = cases()


def shaped(z: np.ndarray, shape: str) -> np.ndarray:
    """Scores of SD 1 whose ranks are those of normal scores."""
    if shape == "t3":
        return stats.t.ppf(stats.norm.cdf(z), 3) / math.sqrt(3)
    return np.interp(z, *contaminated()) if shape == "contaminated" else z


@lru_cache
def contaminated() -> tuple[np.ndarray, np.ndarray]:
    """Normal quantiles, and those of 95 % normal scores and 5 % with five times the SD, of SD 1 in all."""

    def quantile(q: float) -> float:
        return optimize.brentq(lambda x: 0.95 * stats.norm.cdf(x) + 0.05 * stats.norm.cdf(x / 5) - q, -60, 60)

    z = np.linspace(-6, 6, 1201)
    return z, np.array([quantile(q) for q in stats.norm.cdf(z)]) / math.sqrt(0.95 + 0.05 * 25)


class Simulator:
    """Studies of a plan: a baseline and as many arms as there are tests, of which the first has the effect."""

    def __init__(self, case: Case, effect: Effect, rng: np.random.Generator) -> None:
        self.rng, self.n, self.tests, self.given = rng, case.n, case.plan.tests, case.plan.conditions
        self.rates = self.given.failures
        self.ratio = effect.ratio if isinstance(effect, SpreadEffect) else 1.0
        points = effect.points if isinstance(effect, LevelEffect) else 0.0
        arm, baseline = self.rates
        # the mean of all runs is to differ by so many points, and failed ones stay where they are
        total = points + (arm - baseline) * self.given.drop
        self.shift = total / (1 - arm) if isinstance(effect, LevelEffect) else 0.0

    def arms(self) -> list[Runs]:
        """Return one study: the baseline, the arm of the plan, and the others, which are as the baseline."""
        rho = self.given.correlation or 0.0
        shared = self.rng.standard_normal(self.n)
        return [self._runs(shared, 1.0, 0.0, self.rates[1])] + [
            self._runs(
                rho * shared + math.sqrt(1 - rho * rho) * self.rng.standard_normal(self.n),
                self.ratio if first else 1.0, self.shift if first else 0.0, self.rates[0] if first else self.rates[1],
            )
            for first in [True] + [False] * (self.tests - 1)
        ]  # fmt: skip

    def _runs(self, z: np.ndarray, ratio: float, shift: float, rate: float) -> Runs:
        given = self.given
        x = MEAN + (shift + ratio * given.sd * shaped(z, str(given.shape))) / 100
        failed = self.rng.random(self.n) < rate
        if given.rows is not None:
            # the true accuracy of an arm lies anywhere between two scores
            x = np.rint(x * given.rows + self.rng.uniform(-0.5, 0.5)) / given.rows
        return Runs(np.where(failed, MEAN - given.drop / 100, x), failed)

    def paired(self, n: int) -> Pairing:
        """How the report pairs the first so many runs."""
        seeds = [(k,) for k in range(n)]
        return pairing(seeds, seeds) if self.given.paired else independent("no seeds shared")


@cache
def of_counts(only_arm: int, both: int, only_baseline: int, n: int, pairs: Pairing) -> Answer:
    """Answer how often runs fail; nothing but these counts decides it."""
    arm = np.arange(n) < only_arm + both
    baseline = (np.arange(n) >= only_arm) & (np.arange(n) < only_arm + both + only_baseline)
    return failure_question(Runs(np.zeros(n), arm), Runs(np.zeros(n), baseline), pairs)


def failures(arm: Runs, baseline: Runs, pairs: Pairing) -> Answer:
    """Answer how often runs fail, once for all studies with the same counts."""
    first, second = arm.failed, baseline.failed
    counts = (first & ~second).sum(), (first & second).sum(), (second & ~first).sum()
    return of_counts(*map(int, counts), first.size, pairs)


def question_of(effect: Effect) -> str:
    return {SpreadEffect: "spread", LevelEffect: "level", FailureEffect: "failures"}[type(effect)]


def claimed(answer: Answer, effect: Effect, sizes: tuple[int, ...], look: int, family: dict[int, float | None]) -> bool:
    """Tell whether a report claims the effect, in its direction, of the first of a family of answers."""
    if sizes:
        family = {k: None if p is None else looks_adjusted(p, look, sizes) for k, p in family.items()}
    none = 0.0 if isinstance(effect, LevelEffect) else 1.0
    if not is_claimed(holm(family)[0]) or answer.estimate is None:
        return False
    more = {SpreadEffect: lambda e: e.ratio > 1, LevelEffect: lambda e: e.points > 0}.get(
        type(effect), lambda e: e.arm > e.baseline
    )
    return (answer.estimate > none) == more(effect)


def shown(case: Case, effect: Effect, simulator: Simulator, arms: list[Runs]) -> bool:
    """Judge one study at each of its looks."""
    question = {"failures": failures, "spread": spread_question, "level": level_question}[question_of(effect)]
    sizes = case.plan.looks
    for look, n in enumerate(sizes or (case.n,), start=1):
        seen = [Runs(runs.scores[:n], runs.failed[:n]) for runs in arms]
        first, *others = seen[1:]
        answer = question(first, seen[0], simulator.paired(n))
        if answer.p is None or answer.p >= ALPHA:
            continue  # adjusted, it is no smaller
        family = [answer, *(question(runs, seen[0], simulator.paired(n)) for runs in others)]
        if claimed(answer, effect, sizes, look, {k: found.p for k, found in enumerate(family)}):
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("index", range(PLANS))
def test_a_plan_comes_true(index: int) -> None:
    case = CASES[index]
    print(f"\n{case.n} seeds, {case.plan.tests} tests, looks {case.plan.looks}: {case.plan.assumed.words}")
    for k, effect in enumerate(case.plan.effects):
        simulator = Simulator(case, effect, np.random.default_rng([2026, index, k]))
        came = np.mean([shown(case, effect, simulator, simulator.arms()) for _ in range(STUDIES)])
        promised = case.plan.power_of(effect, case.n)
        print(f"  {effect}: planned {100 * promised:.1f} %, came {100 * came:.1f} %")
        assert came == pytest.approx(promised, abs=0.04), (case, effect)


def printed(effect: Effect, simulator: Simulator, arms: list[Runs]) -> bool:
    """Make a report of one study and read from its verdict whether the effect of the first arm was shown."""
    frame, _ = study_frames({("task", f"arm{k}"): runs.scores for k, runs in enumerate(arms)}, evaluations=1)
    frame["failed"] = np.concatenate([runs.failed for runs in arms])
    frame["status"] = np.where(frame["failed"], "failed", "ok")
    if not simulator.given.paired:
        frame["seed"] += 1000 * frame["arm"].str.removeprefix("arm").astype(int)
        for stream in ("init", "order", "dropout", "prepare"):
            frame[f"seed_{stream}"] = frame["seed"]
    verdict = compare(frame, "arm0").cells[1].verdict
    assert verdict is not None
    said = getattr(verdict, question_of(effect)).claim
    if isinstance(effect, SpreadEffect):
        return ("farther apart" if effect.ratio > 1 else "closer together") in said
    if isinstance(effect, LevelEffect):
        return said.startswith("higher by" if effect.points > 0 else "lower by")
    return said == ("fails more often" if effect.arm > effect.baseline else "fails less often")


@pytest.mark.slow
@pytest.mark.parametrize("index", [k for k in range(PLANS) if not CASES[k].plan.looks])
def test_the_printed_verdict_says_the_same(index: int) -> None:
    case, told = CASES[index], []
    for k, effect in enumerate(case.plan.effects):
        simulator = Simulator(case, effect, np.random.default_rng([2027, index, k]))
        for _ in range(REPORTS):
            # a report takes no score beyond 1, which heavy tails reach
            arms = [Runs(np.clip(runs.scores, -1, 1), runs.failed) for runs in simulator.arms()]
            told.append((shown(case, effect, simulator, arms), printed(effect, simulator, arms)))
    assert [first for first, _ in told] == [second for _, second in told]
