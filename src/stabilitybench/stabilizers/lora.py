"""LoRA: a low-rank change of the attention projections is trained in place of the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from stabilitybench.encoders.layout import ARCHITECTURES
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params

Target = Literal["query", "key", "value", "output"]
TARGETS: tuple[Target, ...] = get_args(Target)
A, B = ".lora_A", ".lora_B"


@register("lora")
@dataclass(frozen=True)
class LoRA(Stabilizer):
    r"""Train a low-rank change of the attention projections, and the head; all else stays pretrained.

    ``W~ = W + (alpha / rank) B A`` with A (rank, in) drawn at random and B (out, rank) = 0 at step 0, so that training
    begins at the pretrained encoder.

    Modifies: adds A and B for each projection in `targets`; every tensor but these, the head and the pooler (unless
    pooler is false) is frozen.  Evaluation reads W~ under the name of W, and a saved model is a plain one.  ALBERT
    shares its layers, and so their A and B.  It wants a far higher rate than full fine-tuning (the authors: 4e-4 and
    5e-4 on RoBERTa-base): give the arm a recipe of its own.

    Defaults: rank 8, alpha 16, query and value, as in the authors' scripts for GLUE.  Those for RTE, MRPC and STS-B
    start from weights tuned on MNLI, which is an intermediate task and not done here.  The pooler trains because its
    counterpart in RoBERTa is a part of the head.

    Deviations: A is U(-1/sqrt(in), 1/sqrt(in)), as the authors' code draws it (variant="reference"); their text, as
    recalled, has a Gaussian without its variance, which variant="paper" draws with that of the uniform law, 1 / (3 in).
    """

    paper = "Hu et al. 2021, arXiv:2106.09685"
    on_device = True
    position = Position.ADAPTER  # evaluated after the averages of weights: A and B are averaged, and then multiplied
    traits = frozenset({Trait.TRAINS_ADAPTERS_ALONE})
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[Target, ...] = ("query", "value")
    pooler: bool = True
    variant: Literal["paper", "reference"] = "reference"

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 1024:
            raise ValueError(f"rank = {self.rank}: must lie in [1, 1024]")
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha = {self.alpha}: must be above 0")
        if not self.targets:
            raise ValueError(f"targets = []: must name at least one of {', '.join(TARGETS)}")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning."""
        if recipe.mode == "head":
            raise UserError("lora has nothing to do under head tuning: the whole encoder is frozen already")

    def conflict(self, other: Stabilizer, layout: Layout | None = None) -> str | None:
        """Refuse what would freeze A and B, and groups drawn anew that would stay random."""
        if layout is None:
            return None
        if all(other.frozen(f"{layout.parts.layers}{k}{A}", layout) for k in range(len(layout.layers))):
            return (
                f"{other.name} freezes every layer, the low-rank changes included; freeze fewer or drop one of the two"
            )
        both = [p for p in layout.module_groups if p in other.draws(layout) and not self._trains(p)]
        return f"{', '.join(both)} would start anew and lora freezes it; drop one of the two" if both else None

    def frozen(self, name: str, layout: Layout) -> bool:
        """Tell whether `name` is neither A nor B, nor in the head or a pooler that trains."""
        return not name.endswith((A, B)) and not self._trains(layout.module_group(name))

    def _trains(self, group: str) -> bool:
        return group == "head" or (group == "pooler" and self.pooler)

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Add A and B."""
        if not self.pooler:
            new = [n for n in params if ctx.layout.module_group(n) == "pooler" and n not in ctx.reference]
            if new:
                raise UserError("lora.pooler = false: the checkpoint has no pooler, and a new one would stay random")
        spelled = dict(zip(TARGETS, ARCHITECTURES[ctx.layout.architecture].attention, strict=True))
        endings = tuple(f"{spelled[target]}.weight" for target in self.targets)
        added: Params = {}
        for name, weight in params.items():
            if name.endswith(endings):
                module = name.removesuffix(".weight")
                added[module + A] = self._draw(module, weight, ctx)
                added[module + B] = weight.new_zeros((weight.shape[0], self.rank))
        return {**params, **added}

    def _draw(self, module: str, weight: Tensor, ctx: Context) -> Tensor:
        import torch

        shape = (self.rank, weight.shape[1])
        bound = 1 / math.sqrt(weight.shape[1])
        if self.variant == "paper":
            return ctx.normal(module, weight.new_empty(shape), std=bound / math.sqrt(3), purpose="lora")
        values = ctx.generator("init", "lora", module).uniform(-bound, bound, shape)
        return torch.from_numpy(values).to(weight)

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Read W~ in place of W."""
        return self._merged(params)

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Evaluate W~ as plain weights."""
        return [self._merged(params)]

    def _merged(self, params: Params) -> Params:
        merged = {name: weight for name, weight in params.items() if not name.endswith((A, B))}
        for name, low in params.items():
            if name.endswith(A):
                module = name.removesuffix(A)
                change = params[module + B] @ low
                merged[f"{module}.weight"] = params[f"{module}.weight"] + self.alpha / self.rank * change
        return merged
