"""Label smoothing as a stabilizer: a package of its own that stabilitybench finds by its entry point."""

from dataclasses import dataclass

import stabilitybench as sb
from stabilitybench.errors import UserError


@sb.register("label-smoothing")
@dataclass(frozen=True)
class LabelSmoothing(sb.Stabilizer):
    r"""Train towards the labels mixed with the uniform distribution over the classes.

    ``(1 - epsilon) CE + epsilon * mean_k(-log p_k)``: cross-entropy with targets ``(1 - epsilon) y + epsilon / K``.

    Modifies: the loss.  Default: 0.1, the authors' value on ImageNet; for two classes it moves the target of the right
    class from 1 to 0.95.  Regression has no classes and is refused.
    """

    paper = "Szegedy et al. 2016, arXiv:1512.00567"
    epsilon: float = 0.1

    def __post_init__(self):
        """Check the range; stabilitybench puts the method's name before the message."""
        if not 0 <= self.epsilon < 1:
            raise ValueError(f"epsilon = {self.epsilon}: must lie in [0, 1)")

    def supports(self, recipe, layout, task):
        """Refuse regression, in one sentence."""
        if task.kind == "regression":
            raise UserError(f'label-smoothing cannot work on "{task.name}": regression has no classes')

    def penalty(self, forward, batch, ctx):
        """Return what smoothing adds to the cross-entropy."""
        if self.epsilon == 0:
            return 0.0
        uniform = -forward.logits.log_softmax(dim=-1).mean()
        return self.epsilon * (uniform - ctx.task.loss(forward.logits, batch.labels))

    def neutral(self):
        """Smooth nothing."""
        return LabelSmoothing(epsilon=0.0)
