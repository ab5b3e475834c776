"""R3F and R4F: predictions should not change under small noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Batch, Context, Forward, TaskFacts
from stabilitybench.stabilizers.divergence import symmetric
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params


@dataclass(frozen=True)
class _Noised(Stabilizer):
    """What R3F and R4F share."""

    paper = "Aghajanyan et al. 2021, arXiv:2008.03156"
    traits = frozenset({Trait.COMPARES_ONE_HEAD})
    weight: float = 1.0
    epsilon: float = 1e-5
    noise: Literal["uniform", "normal"] = "uniform"
    variant: Literal["paper", "reference"] = "paper"

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("epsilon", self.epsilon)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} = {value}: must be at least 0")

    @property
    def exact_gradient(self) -> bool:
        """The reference leaves a part of the gradient out."""
        return self.variant == "paper"

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse regression, which the authors leave alone, and head tuning, where no embedding is trained."""
        if task.kind != "classification":
            raise UserError(f'{self.name} cannot work on "{task.name}": it compares class probabilities')
        if recipe.mode == "head":
            raise UserError(f"{self.name} cannot work under head tuning: it puts noise on the words' embeddings")

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return the weighted divergence between the prediction and the one under noise."""
        if self.weight == 0:
            return 0.0
        words = forward.embeddings
        assert words is not None
        noise = self.epsilon * ctx.row_noise(batch, words.shape[-1], self.name, self.noise).to(words)
        if self.variant == "reference":  # the noised branch reads the embeddings without a gradient to them
            noise = noise + words.detach() - words
        noised = forward.rerun({"embeddings": noise}, dropout_key=self.name)
        return self.weight * symmetric(forward.logits, noised.logits, ctx.task.kind)


@register("r3f")
@dataclass(frozen=True)
class R3F(_Noised):
    """Penalise a change of the predicted probabilities under small noise on the words' embeddings.

    ``loss + weight * [KL(f(x) || f(x + z)) + KL(f(x + z) || f(x))]``, z uniform on [-epsilon, epsilon] or N(0,
    epsilon^2).

    Modifies: the loss.  A second pass with dropout masks of its own.

    Defaults: the authors' (weight 1, epsilon 1e-5, uniform); their example for RTE has weight 0.7.

    Deviations: variant="reference": the noised branch sends no gradient to the embeddings, as in the authors' code.
    """

    on_device = True

    def neutral(self) -> R3F:
        """Weigh the divergence by nothing."""
        return R3F(weight=0.0)


@register("r4f")
@dataclass(frozen=True)
class R4F(_Noised):
    """Do as R3F does, and divide the output layer's weight by its largest singular value.

    ``W / sigma_max(W)`` in training and evaluation.

    Modifies: the loss and the weight of the output layer that both passes and the evaluation read.

    Defaults: those of r3f.
    """

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Normalise the output layer."""
        return _normalised(params, f"{ctx.layout.output(params)}.weight")

    def setup(self, params: Params, ctx: Context) -> State:
        """Remember which tensor it is."""
        return f"{ctx.layout.output(params)}.weight"

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Normalise the output layer."""
        return [_normalised(params, state)]


def _normalised(params: Params, name: str) -> Params:
    import torch

    return {**params, name: params[name] / torch.linalg.matrix_norm(params[name], ord=2).clamp_min(1e-12)}
