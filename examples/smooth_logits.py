"""A stabilizer in one file: a penalty on large logits."""

from dataclasses import dataclass

import stabilitybench as sb


@sb.register("smooth-logits")
@dataclass(frozen=True)
class SmoothLogits(sb.Stabilizer):
    """Penalise the mean square of the logits.

    Modifies: the loss, by ``weight * mean(logits^2)``.
    """

    paper = "none: an example of this project"
    weight: float = 0.01

    def penalty(self, forward, batch, ctx):
        """Return what is added to the loss."""
        return self.weight * forward.logits.square().mean()
