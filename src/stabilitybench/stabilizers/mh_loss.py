"""MHLoss: several heads at once; and the head that starts at zero, their limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Batch, Context, Forward
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params


@register("mh-loss")
@dataclass(frozen=True)
class MHLoss(Stabilizer):
    """Train several linear heads on the same features and predict with their mean.

    ``1 / H * sum over h of loss(W_h x + b_h)`` (or the sum itself) with H = `heads`.  It predicts with the mean of the
    heads' logits, that is one head with the mean weight.

    Modifies: adds heads - 1 output layers, each drawn like the first; the loss; what is evaluated.  Under the mean each
    head's gradient is divided by the number of heads; Adam does not notice, plain gradient descent does.

    Defaults: the authors' number of heads is not known to us: 5 is ours.
    """

    paper = "Fu, So & Collier 2023, arXiv:2301.09820"
    on_device = True
    position = Position.HEAD
    traits = frozenset({Trait.SETS_OUTPUT_START, Trait.TRAINS_SEVERAL_HEADS})
    heads: int = 5
    loss: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if not 1 <= self.heads <= 1000:
            raise ValueError(f"heads = {self.heads}: must lie in [1, 1000]")

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Add the other heads."""
        output = ctx.layout.output(params)
        added = {}
        for name in self._others(output):
            weight, bias = params[f"{output}.weight"], params[f"{output}.bias"]
            added[f"{name}.weight"] = ctx.normal(name, weight, std=ctx.layout.initializer_range, purpose="mh-loss")
            added[f"{name}.bias"] = bias.new_zeros(bias.shape)
        return {**params, **added}

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return what the other heads add to the loss of the first."""
        from torch.nn.functional import linear

        if self.heads == 1:
            return 0.0
        weights = forward.weights
        rest = forward.logits.new_zeros(())
        for name in self._others(ctx.layout.output(weights)):
            logits = linear(forward.features, weights[f"{name}.weight"], weights[f"{name}.bias"])
            rest = rest + ctx.task.loss(logits, batch.labels)
        if self.loss == "sum":
            return rest
        return rest / self.heads - (1 - 1 / self.heads) * ctx.task.loss(forward.logits, batch.labels)

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Replace the heads by their mean."""
        if self.heads == 1:
            return [params]
        output = next(n for n in params if n.endswith(".heads.1.weight")).removesuffix(".heads.1.weight")
        others = self._others(output)
        mean = {
            f"{output}.{leaf}": sum((params[f"{name}.{leaf}"] for name in others), params[f"{output}.{leaf}"])
            / self.heads
            for leaf in ("weight", "bias")
        }
        extra = {f"{name}.{leaf}" for name in others for leaf in ("weight", "bias")}
        return [{**{n: t for n, t in params.items() if n not in extra}, **mean}]

    def _others(self, output: str) -> list[str]:
        return [f"{output}.heads.{k}" for k in range(1, self.heads)]

    def neutral(self) -> MHLoss:
        """Train one head."""
        return MHLoss(heads=1)


@register("zero-head")
@dataclass(frozen=True)
class ZeroHead(Stabilizer):
    """Start the output layer at zero instead of at random weights.

    ``W = 0, b = 0`` at step 0.

    Modifies: the output layer at step 0.  The mean of many random heads is nearly zero, so this is what mh-loss tends
    to with a growing number of heads, at no cost: a control for it.
    """

    paper = "control for Fu, So & Collier 2023, arXiv:2301.09820"
    position = Position.HEAD
    traits = frozenset({Trait.SETS_OUTPUT_START})

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Set the output layer to zero."""
        output = ctx.layout.output(params)
        names = (f"{output}.weight", f"{output}.bias")
        return {**params, **{name: params[name].new_zeros(params[name].shape) for name in names}}
