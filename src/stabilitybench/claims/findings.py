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

    Attributes
    ----------
    n : str
        How many runs, datasets or points.
    effect, low, high : float or None
        The effect with its 95 % interval; None where there is none.
    unit : str
        Of these three.
    p : float or None
        Of the test, two-sided, before adjustment; None where nothing is tested.
    ahead : bool
        Whether the effect lies in the direction of the claim.
    power : float or None
        To detect the minimal effect of interest.
    detectable : float or None
        The effect detected with a power of 80 %.
    seeds : int or None
        Runs per arm that would detect the minimal effect of interest with that power.
    note : str
        What a reader must know.
    decided : str or None
        The verdict of a rule that does not decide by p alone.
    limits : tuple of float
        What the effect is held against, in its unit, where that is not simply no effect: a margin, a chance.
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
        """Return the same finding with a further note.

        Parameters
        ----------
        note : str
            Added after a semicolon.
        """
        return replace(self, note="; ".join(part for part in (self.note, note) if part))


def decide(finding: CheckResult, adjusted: float | None) -> VerdictName:
    """Return the verdict: significant and as claimed, significant and against it, or neither.

    Parameters
    ----------
    finding : CheckResult
        What a check found; a verdict that its rule has decided already stands.
    adjusted : float or None
        The p-value after Holm's adjustment; None where nothing was tested.

    Examples
    --------
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
