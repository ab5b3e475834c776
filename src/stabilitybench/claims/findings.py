"""What a check finds, and the verdict that its rule, fixed beforehand, draws from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from stabilitybench.statistics.decisions import Outcome, outcome

VerdictName = Literal["supported", "contradicted", "not detected", "not applicable", "absent"]
VERDICTS: tuple[VerdictName, ...] = ("supported", "contradicted", "not detected", "not applicable", "absent")

_NAMES: dict[Outcome, VerdictName] = {
    "as claimed": "supported",
    "against the claim": "contradicted",
    "not detected": "not detected",
}


@dataclass(frozen=True)
class CheckResult:
    """The numbers behind a verdict.

    n : how many runs, datasets or points.  effect, low, high : the effect with its 95 % interval, None where there is
    none; unit : of these three.
    p : of the test, two-sided, before adjustment; None where nothing is tested.
    ahead : whether the effect lies in the direction of the claim.
    power : to detect the minimal effect of interest.  detectable : the effect detected with a power of 80 %.
    seeds : runs per arm that would detect the minimal effect of interest with that power.
    note : what a reader must know.  decided : the verdict of a rule that does not decide by p alone.
    limits : what the effect is held against, in its unit, where that is not simply no effect: a margin, a chance.
    """

    n: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    p: float | None = None
    ahead: bool = False
    power: float | None = None
    detectable: float | None = None
    seeds: int | None = None
    note: str = ""
    decided: VerdictName | None = None
    limits: tuple[float, ...] = ()

    def noting(self, note: str) -> CheckResult:
        """Return the same finding with a further note."""
        return replace(self, note="; ".join(part for part in (self.note, note) if part))


def decide(finding: CheckResult, adjusted: float | None) -> VerdictName:
    """Return the verdict: significant and as claimed, significant and against it, or neither.

    adjusted : the p-value after Holm's adjustment.

    >>> decide(CheckResult("20 + 20", effect=0.5, p=0.001, ahead=True), 0.004)
    'supported'
    >>> decide(CheckResult("20 + 20", effect=0.5, p=0.001, ahead=False), 0.004)
    'contradicted'
    >>> decide(CheckResult("20 + 20", effect=0.9, p=0.3, ahead=True), 0.6)
    'not detected'
    """
    if finding.decided is not None:
        return finding.decided
    return _NAMES[outcome(adjusted, finding.ahead)]
