"""A comparison as data: each arm on each task, its contrast with the baseline, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from stabilitybench.comparison.terminal import print_comparison
from stabilitybench.documents.table import Tone
from stabilitybench.power import DetectableRate, DetectableRatio
from stabilitybench.statistics import Rate, SdRatio, TestResult
from stabilitybench.statistics.pairing import Pairing
from stabilitybench.statistics.questions import Answer, SpreadAnswer
from stabilitybench.statistics.two_part_model import Mixture, TwoPart

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Line:
    """The answer to one of the three questions, in words.

    Attributes
    ----------
    claim : str
        What is shown, or that nothing is, in a few words.
    evidence : str
        The numbers behind it; empty where there are none.
    tone : {"better", "worse", "neutral"}
        Whether it speaks for the arm, against it, or neither.
    detectable : str
        What could have been seen, where nothing is shown.
    """

    claim: str
    evidence: str = ""
    tone: Tone = "neutral"
    detectable: str = ""

    @property
    def text(self) -> str:
        """Claim and evidence."""
        return self.claim + self.evidence


@dataclass(frozen=True)
class Verdict:
    """What the tests show about an arm: three questions, each answered.

    Attributes
    ----------
    failures, spread, level : Line
        How often runs fail, how far they scatter, how good they are.
    """

    failures: Line
    spread: Line
    level: Line

    @property
    def lines(self) -> tuple[Line, ...]:
        """The answers in this order; one that says the same as the one before only once."""
        return tuple(dict.fromkeys((self.failures, self.spread, self.level)))

    @property
    def text(self) -> str:
        """The whole verdict as one line."""
        return "; ".join(line.text for line in self.lines)

    @property
    def detectable(self) -> str:
        """What could have been seen, of the questions in which nothing is shown."""
        return "; ".join(line.detectable for line in self.lines if line.detectable)

    @property
    def tone(self) -> Tone:
        """What the answers speak for together; neutral where they do not agree."""
        tones = {line.tone for line in self.lines} - {"neutral"}
        return tones.pop() if len(tones) == 1 else "neutral"


@dataclass(frozen=True)
class BaselineContrast:
    """An arm set against the baseline of its encoder and task.

    Attributes
    ----------
    pairing : Pairing
        Which runs stand against which.
    correlation : float or None
        Of the scores of pairs; None without three of them.
    failures, level : Answer
        How often runs fail (an odds ratio), and how good they are (a difference of means), with Holm's adjustment over
        all tests of the same question.
    spread : SpreadAnswer
        How far runs scatter: the deviation ratio among the runs that did not fail, likewise.
    identical : bool
        Whether every run has a partner of the same score that failed and collapsed alike.
    collapsed : Answer or None
        Collapsed runs compared as failed ones are, without adjustment; None where they are not known.
    deviation_all : float or None
        The deviation ratio over all runs, failed ones included; it has no interval.
    ratio : SdRatio
        SD ratio over all runs; its interval is withheld (`ratio.note`) when either side has failed runs.
    two_part : TwoPart
        Failures and the spread of the other runs, which descriptive tables show.
    brown_forsythe, permutation, fisher : TestResult
        Tests that are asked for by name, over all finished runs; no verdict rests on them.
    detectable_ratio : DetectableRatio or None
        The ratios that the test of spread shows in 80 of 100 studies with these numbers of runs at the first step of
        Holm's adjustment, for normal scores; None beside a test that is undefined or too large to count.
    detectable_rate : DetectableRate or None
        The same of the test of failures, for the baseline's rate as seen.
    detectable_difference : float or None
        The same of the test of the level, for the standard error as seen.
    """

    pairing: Pairing
    correlation: float | None
    failures: Answer
    spread: SpreadAnswer
    level: Answer
    identical: bool
    collapsed: Answer | None
    deviation_all: float | None
    ratio: SdRatio
    two_part: TwoPart
    brown_forsythe: TestResult
    permutation: TestResult
    fisher: TestResult
    detectable_ratio: DetectableRatio | None = None
    detectable_rate: DetectableRate | None = None
    detectable_difference: float | None = None

    @property
    def kept_ratio(self) -> float | None:
        """SD ratio among the runs that did not fail, where some did and 10 on each side did not; descriptive."""
        return self.two_part.ratio.estimate if self.withheld else None

    @property
    def withheld(self) -> bool:
        """True when the SD ratio's interval is held back because of failed runs."""
        return self.ratio.note.startswith("withheld")


@dataclass(frozen=True)
class ArmResult:
    """One arm on one task with one encoder; scores are fractions, None where there are too few runs.

    Attributes
    ----------
    encoder, task, arm : str
        Labels.
    is_baseline : bool
        Whether the others are compared with this arm.
    metric : str
        Of all scores here, higher is better.
    no_skill : float or None
        The best score of a constant prediction; None where it is not known.
    n_train : str
        Training rows, in words; empty where they are not known.
    planned, n : int
        Runs planned, and runs finished (failed and diverged ones included).
    failure : Rate
        Failed runs of n with the Wilson interval; without a rate where nothing tells failed runs from others, and
        `failed` then counts those that ended without a score.
    near_no_skill, constant : int or None
        Runs so flagged; None where the scores come without these flags.
    diverged : int
        Runs whose loss was no longer a number.
    collapsed : int or None
        Runs with constant predictions or diverged, the worse grade of failure; None where constants are not known.
    mean, sd, median, minimum, maximum : float or None
        Of all finished runs, last checkpoint; SD with ddof = 1.
    mean_best, sd_best : float or None
        The same of the best-validation checkpoint.
    kept : int
        Runs that did not fail.
    mean_kept, sd_kept : float or None
        Of these.
    mixture : Mixture
        What failed runs, and what ordinary spread, contribute to the variance.
    against : BaselineContrast or None
        None for the baseline.
    verdict : Verdict or None
        What the tests show; None for the baseline.
    conclusion : str
        What it comes to for readers without statistics; empty for the baseline.
    """

    encoder: str
    task: str
    arm: str
    is_baseline: bool
    metric: str
    no_skill: float | None
    n_train: str
    planned: int
    n: int
    failure: Rate
    near_no_skill: int | None
    constant: int | None
    diverged: int
    collapsed: int | None
    mean: float | None
    sd: float | None
    median: float | None
    minimum: float | None
    maximum: float | None
    mean_best: float | None
    sd_best: float | None
    kept: int
    mean_kept: float | None
    sd_kept: float | None
    mixture: Mixture
    against: BaselineContrast | None
    verdict: Verdict | None = None
    conclusion: str = ""

    @property
    def failures_known(self) -> bool:
        """False when nothing tells which of the runs failed."""
        return self.n == 0 or self.failure.rate is not None

    @property
    def level(self) -> bool:
        """True when all scores are equal, which no fine-tuning that works brings about."""
        return self.n > 1 and self.minimum == self.maximum


@dataclass(frozen=True)
class Comparison:
    """Every arm of a study against its baseline; made by `compare`.

    Attributes
    ----------
    baseline : str
        Name of the arm.
    cells : tuple of ArmResult
        Each arm on each task with each encoder, the baseline before the others.
    varied, fixed : str
        Seed streams that differ between runs, and that do not, in words.
    notes : tuple of str
        What a reader must know before trusting the p-values, one sentence each.
    elsewhere : bool, default False
        Whether the scores were not made by a study, so that split and checkpoint are not known.
    """

    baseline: str
    cells: tuple[ArmResult, ...] = field(repr=False)
    varied: str
    fixed: str
    notes: tuple[str, ...]
    elsewhere: bool = False

    def baseline_of(self, cell: ArmResult) -> ArmResult:
        """Return the baseline's cell for the same encoder and task.

        Parameters
        ----------
        cell : ArmResult
            One of `cells`.
        """
        return next(c for c in self.cells if c.is_baseline and (c.encoder, c.task) == (cell.encoder, cell.task))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per (encoder, task, arm) in fractions, with NaN where a number is undefined."""
        rows = []
        for c in self.cells:
            a = c.against
            ratio, rate, two = (a.detectable_ratio, a.detectable_rate, a.two_part) if a else (None, None, None)
            rows.append(
                {
                    "encoder": c.encoder,
                    "task": c.task,
                    "arm": c.arm,
                    "baseline": c.is_baseline,
                    "metric": c.metric,
                    "planned": c.planned,
                    "n": c.n,
                    "failed": c.failure.failed if c.failures_known else None,
                    "failure_rate": c.failure.rate,
                    "failure_low": c.failure.low,
                    "failure_high": c.failure.high,
                    "near_no_skill": c.near_no_skill,
                    "constant": c.constant,
                    "diverged": c.diverged,
                    "collapsed": c.collapsed,
                    "no_skill": c.no_skill,
                    "mean": c.mean,
                    "sd": c.sd,
                    "median": c.median,
                    "min": c.minimum,
                    "max": c.maximum,
                    "mean_best": c.mean_best,
                    "sd_best": c.sd_best,
                    "n_not_failed": c.kept,
                    "mean_not_failed": c.mean_kept,
                    "sd_not_failed": c.sd_kept,
                    "pairing": a.pairing.kind if a else "",
                    "pairs": len(a.pairing.pairs) if a else None,
                    "dropped": a.pairing.dropped if a else None,
                    "correlation": a.correlation if a else None,
                    "failure_odds": a.failures.estimate if a else None,
                    "failure_odds_low": a.failures.low if a else None,
                    "failure_odds_high": a.failures.high if a else None,
                    "failure_p": a.failures.p if a else None,
                    "failure_holm": a.failures.holm if a else None,
                    "collapsed_p": a.collapsed.p if a and a.collapsed else None,
                    "deviation_ratio": a.spread.estimate if a else None,
                    "deviation_ratio_low": a.spread.low if a else None,
                    "deviation_ratio_high": a.spread.high if a else None,
                    "deviation_p": a.spread.p if a else None,
                    "deviation_holm": a.spread.holm if a else None,
                    "deviation_note": a.spread.note if a else "",
                    "deviation_n": a.spread.n_arm if a else None,
                    "deviation_n_baseline": a.spread.n_baseline if a else None,
                    "deviation_ratio_all": a.deviation_all if a else None,
                    "level_difference": a.level.estimate if a else None,
                    "level_low": a.level.low if a else None,
                    "level_high": a.level.high if a else None,
                    "level_p": a.level.p if a else None,
                    "level_holm": a.level.holm if a else None,
                    "sd_ratio": a.ratio.estimate if a else None,
                    "sd_ratio_low": a.ratio.low if a else None,
                    "sd_ratio_high": a.ratio.high if a else None,
                    "sd_ratio_note": a.ratio.note if a else "",
                    "sd_ratio_not_failed": a.kept_ratio if a else None,
                    "brown_forsythe_p": a.brown_forsythe.p if a else None,
                    "permutation_p": a.permutation.p if a else None,
                    "fisher_p": a.fisher.p if a else None,
                    "detectable_ratio_below": ratio.below if ratio else None,
                    "detectable_ratio_above": ratio.above if ratio else None,
                    "detectable_rate_below": rate.below if rate else None,
                    "detectable_rate_above": rate.above if rate else None,
                    "detectable_difference": a.detectable_difference if a else None,
                    "failure_difference": two.difference.estimate if two else None,
                    "failure_difference_low": two.difference.low if two else None,
                    "failure_difference_high": two.difference.high if two else None,
                    "failure_share_of_variance": c.mixture.failure_share,
                    "verdict": c.verdict.text if c.verdict else "",
                    "conclusion": c.conclusion,
                }
            )
        frame = pd.DataFrame(rows)
        words = {"encoder", "task", "arm", "baseline", "metric", "pairing", "deviation_note", "sd_ratio_note"}
        counts = {"planned", "n", "diverged", "n_not_failed"}
        flags = {"failed", "near_no_skill", "constant", "collapsed", "pairs", "dropped"}
        flags |= {"deviation_n", "deviation_n_baseline"}
        numeric = [c for c in frame.columns if c not in words | counts | flags | {"verdict", "conclusion"}]
        return frame.astype(dict.fromkeys(numeric, "float64") | dict.fromkeys(flags, "Int64"))

    def show(self, console: Console | None = None) -> None:
        """Print the verdicts to the terminal.

        Parameters
        ----------
        console : Console, optional
            Where to print instead of standard output.
        """
        from stabilitybench.documents.terminal import PlainConsole

        print_comparison(self, console or PlainConsole())
