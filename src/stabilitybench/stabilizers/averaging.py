"""Averages of the weights along the training: the exponential moving average and stochastic weight averaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params


@register("ema")
@dataclass(frozen=True)
class EMA(Stabilizer):
    """Evaluate an exponential moving average of the weights.

    ``a <- decay * a + (1 - decay) * w`` after each step, from a = w at step 0.

    Modifies: the weights that are evaluated; the training itself is the plain one.

    Defaults: decay 0.99, ours: a window of about 100 steps, for runs of a few hundred.

    Deviations: the average begins at the pretrained weights and is not corrected for that.
    """

    paper = "Polyak & Juditsky 1992, doi:10.1137/0330046; for networks: Tarvainen & Valpola 2017, arXiv:1703.01780"
    on_device = True
    position = Position.AVERAGE
    traits = frozenset({Trait.FOLLOWS_ONE_NETWORK})
    decay: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay = {self.decay}: must lie in [0, 1)")

    def setup(self, params: Params, ctx: Context) -> State:
        """Start from the weights at step 0."""
        return dict(params)

    def after_step(self, params: Params, previous: Params, state: State, ctx: Context) -> tuple[Params, State]:
        """Move the average."""
        average = {name: state[name] + (1 - self.decay) * (weight - state[name]) for name, weight in params.items()}
        return params, {**state, **average}

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Evaluate the average."""
        return [{**params, **state}]


@register("swa")
@dataclass(frozen=True)
class SWA(Stabilizer):
    """Evaluate the mean of the weights from some point of the training on.

    ``a <- a + (w - a) / (k + 1)`` with k the number of weights in the mean so far, after every `every`-th step from
    the fraction `start` of the training on; the weights themselves before that.

    Modifies: the weights that are evaluated; the training itself is the plain one.  Encoders normalise by layer, so no
    statistics need an update.

    Defaults: start 0.5, about where the authors begin (epoch 161 of 300); every step, since short runs have few epochs.

    Deviations: the authors average once an epoch and keep the rate high; set schedule = "constant" for the latter.
    """

    paper = "Izmailov et al. 2018, arXiv:1803.05407"
    position = Position.AVERAGE
    traits = frozenset({Trait.FOLLOWS_ONE_NETWORK})
    start: float = 0.5
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ValueError(f"start = {self.start}: must lie in [0, 1)")
        if self.every < 1:
            raise ValueError(f"every = {self.every}: must be at least 1")

    def setup(self, params: Params, ctx: Context) -> State:
        """Nothing is averaged yet; refuse settings under which nothing ever is."""
        last = ctx.total_steps - ctx.total_steps % self.every
        if last <= self.start * ctx.total_steps:
            share = f"{1 - self.start:.0%}"
            raise UserError(
                f"swa.every = {self.every}: no such step lies in the last {share} of {ctx.total_steps} steps"
            )
        return 0, {}

    def after_step(self, params: Params, previous: Params, state: State, ctx: Context) -> tuple[Params, State]:
        """Take the weights into the mean, if it is their turn."""
        count, mean = state
        if ctx.progress <= self.start or ctx.step % self.every:
            return params, state
        if not count:
            return params, (1, {name: weight.clone() for name, weight in params.items()})
        grown = {name: mean[name] + (weight - mean[name]) / (count + 1) for name, weight in params.items()}
        return params, (count + 1, grown)

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Evaluate the mean, once there is one."""
        return [{**params, **state[1]}]
