"""The contract: every hook is called where the documentation says, and sees what it says.

The stabilizers here are made for the tests: one for each hook that the shipped methods do not use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning import Outcome, finetune
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer
from support.families import make_task

TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=3, weight_decay=0.1)


def run(encoder: Encoder, *stabilizers: Stabilizer, recipe: Recipe = TRAIN, **more: Any) -> Outcome:
    return finetune(encoder, make_task(**more), recipe, stabilizers, keep_weights="last")


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in tensors.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[n].detach(), b[n].detach()) for n in a)


@dataclass(frozen=True)
class Spy(Stabilizer):
    """Overrides every hook, changes nothing, and writes down what it sees."""

    name = "spy"
    log: list[tuple[str, Any]] = field(default_factory=list, compare=False)

    def note(self, hook: str, **seen: Any) -> None:
        self.log.append((hook, seen))

    def recipe(self, recipe: Any, layout: Any) -> Any:
        self.note("recipe")
        return recipe

    def initialize(self, params: Any, ctx: Any) -> Any:
        self.note("initialize", ctx=ctx, params=copies(params))
        return dict(params)

    def setup(self, params: Any, ctx: Any) -> Any:
        # The very tensors are kept: the loop must never change what it has handed out.
        self.note("setup", ctx=ctx, params=params, copy=copies(params))
        return 0

    def rate(self, name: str, ctx: Any) -> float:
        self.note("rate", ctx=ctx, name=name)
        return 1.0

    def forward_weights(self, params: Any, ctx: Any) -> Any:
        self.note(
            "forward_weights", ctx=ctx, params=copies(params), graph=any(t.requires_grad for t in params.values())
        )
        return dict(params)

    def penalty(self, forward: Any, batch: Any, ctx: Any) -> Any:
        self.note("penalty", ctx=ctx, forward=forward, batch=batch)
        return 0.0

    def gradient(self, grad_at: Any, params: Any, state: Any, ctx: Any) -> Any:
        before = copies(params)
        loss, grads = grad_at(params)
        assert same(params, before)
        self.note("gradient", ctx=ctx, state=state, params=before, grads=copies(grads), loss=float(loss))
        return loss, grads

    def edit_gradient(self, grads: Any, state: Any, ctx: Any) -> Any:
        self.note("edit_gradient", ctx=ctx, state=state, grads=grads, copy=copies(grads))
        return dict(grads)

    def after_step(self, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
        self.note("after_step", ctx=ctx, state=state, params=params, copy=copies(params), previous=copies(previous))
        return dict(params), state + 1

    def evaluation(self, params: Any, state: Any) -> Any:
        self.note("evaluation", state=state, params=copies(params))
        return [dict(params)]

    def phases(self, recipe: Any, layout: Any, task: Any) -> Any:
        self.note("phases")
        return ()

    def members(self, members: Any, ctx: Any) -> Any:
        self.note("members", ctx=ctx, count=len(members))
        return list(members)

    def measures(self, params: Any, ctx: Any) -> Any:
        self.note("measures", ctx=ctx, params=copies(params))
        return {"spy.seen": float(len(params))}


@pytest.fixture(scope="module")
def spied(bert: Encoder) -> tuple[Spy, Outcome]:
    spy = Spy()
    return spy, run(bert, spy)


def calls(spy: Spy, hook: str) -> list[dict[str, Any]]:
    return [seen for name, seen in spy.log if name == hook]


def test_a_spy_knows_every_hook(spied: tuple[Spy, Outcome]) -> None:
    hooks = {h for h, value in vars(Stabilizer).items() if callable(value)} - {
        "supports", "conflict", "draws", "neutral", "parameters", "describe", "frozen", "overrides", "summary",
    }  # fmt: skip
    assert {hook for hook, _ in spied[0].log} == {h for h in hooks if not h.startswith("__")}


def test_hooks_that_return_what_they_got_change_nothing_bit_for_bit(bert: Encoder, spied: tuple[Spy, Outcome]) -> None:
    plain = run(bert)
    assert spied[1].weights == plain.weights
    assert spied[1].scores == plain.scores
    assert spied[1].evaluations == plain.evaluations
    assert spied[1].reinitialized == (), "copying the dictionary is no new tensor"


def test_hooks_are_called_in_the_documented_order(spied: tuple[Spy, Outcome]) -> None:
    order = [hook for hook, _ in spied[0].log]
    squeezed = [hook for hook, before in zip(order, [None, *order], strict=False) if hook != before]
    one_step = ["rate", "forward_weights", "penalty", "gradient", "edit_gradient", "after_step", "members"]
    assert squeezed[:4] == ["recipe", "phases", "initialize", "setup"]
    rest = squeezed[4:]
    looked = []
    for _ in range(6):
        assert rest[:7] == one_step
        rest = rest[7:]
        looked.append(rest[:2] == ["evaluation", "measures"])
        rest = rest[2:] if looked[-1] else rest
    assert rest == []
    assert looked == [False, True, False, True, False, True], "evaluated after steps 2, 4 and 6"


def test_context_tells_time_and_the_pretrained_tensors(bert: Encoder, spied: tuple[Spy, Outcome]) -> None:
    spy = spied[0]
    assert [seen["ctx"].step for seen in calls(spy, "forward_weights")] == [0, 1, 2, 3, 4, 5]
    assert [seen["ctx"].step for seen in calls(spy, "edit_gradient")] == [0, 1, 2, 3, 4, 5]
    assert [seen["ctx"].step for seen in calls(spy, "after_step")] == [1, 2, 3, 4, 5, 6]
    assert calls(spy, "after_step")[-1]["ctx"].progress == 1.0
    for hook in ("initialize", "setup", "after_step"):
        context = calls(spy, hook)[-1]["ctx"]
        assert context.total_steps == 6
        assert context.recipe == TRAIN
        assert context.task.n_train == 24
        assert same(dict(context.reference), bert.pretrained_classifier(2).pretrained)


def test_state_goes_through_the_steps(spied: tuple[Spy, Outcome]) -> None:
    for hook in ("gradient", "edit_gradient", "after_step"):
        assert [seen["state"] for seen in calls(spied[0], hook)] == [0, 1, 2, 3, 4, 5]
    # Evaluations after steps 2, 4 and 6.
    assert [seen["state"] for seen in calls(spied[0], "evaluation")] == [2, 4, 6]


def test_what_a_method_measures_is_recorded_at_every_evaluation(spied: tuple[Spy, Outcome]) -> None:
    spy, outcome = spied
    assert [seen["ctx"].step for seen in calls(spy, "measures")] == [2, 4, 6]
    names = [len(seen["params"]) for seen in calls(spy, "measures")]
    assert [e.measures for e in outcome.evaluations] == [{"spy.seen": float(n)} for n in names]
    assert calls(spy, "measures")[-1]["ctx"].start.keys() == calls(spy, "setup")[0]["params"].keys()


def test_every_hook_sees_the_right_tensors(spied: tuple[Spy, Outcome]) -> None:
    spy, outcome = spied
    start = calls(spy, "setup")[0]["copy"]
    assert same(calls(spy, "initialize")[0]["params"], start)
    weights = start
    for t in range(6):
        forward, gradient, edited, after = (
            calls(spy, hook)[t] for hook in ("forward_weights", "gradient", "edit_gradient", "after_step")
        )
        assert same(forward["params"], weights)
        assert forward["graph"], "the loss is differentiated through the forward weights"
        assert same(gradient["params"], weights)
        assert same(after["previous"], weights)
        size = math.sqrt(sum(float(g.square().sum()) for g in gradient["grads"].values()))
        clipped = math.sqrt(sum(float(g.square().sum()) for g in edited["copy"].values()))
        assert clipped == pytest.approx(min(1.0, size), rel=1e-4), "edit_gradient comes after clipping"
        weights = after["copy"]
        assert not same(weights, after["previous"])
    assert outcome.final_weights is not None
    assert same(weights, outcome.final_weights)


def test_what_a_hook_keeps_is_never_changed_under_its_feet(spied: tuple[Spy, Outcome]) -> None:
    """A method may keep the start, a gradient or the weights after a step without copying them."""
    spy = spied[0]
    assert same(calls(spy, "setup")[0]["params"], calls(spy, "setup")[0]["copy"])
    for hook, key in (("edit_gradient", "grads"), ("after_step", "params")):
        for t, seen in enumerate(calls(spy, hook)):
            assert same(seen[key], seen["copy"]), f"{hook} of step {t}"


def test_penalties_see_the_pass_and_the_batch(bert: Encoder, spied: tuple[Spy, Outcome]) -> None:
    first = calls(spied[0], "penalty")[0]
    assert first["forward"].logits.shape == (8, 2)
    assert first["forward"].logits.requires_grad
    assert len(first["forward"].hidden) == bert.layout.depth + 1
    assert first["forward"].hidden[0].shape == (*first["batch"].tokens.shape, 16)
    assert first["batch"].tokens.shape == first["batch"].mask.shape
    assert first["batch"].labels.shape == (8,)


def test_several_stabilizers_all_get_their_turn_in_order(bert: Encoder) -> None:
    log: list[tuple[str, Any]] = []
    named = [type(f"Spy{k}", (Spy,), {"name": f"spy-{k}", "order": 10 * k}) for k in (2, 1)]
    both = [cls(log=log) for cls in named]

    def note(self: Spy, hook: str, **seen: Any) -> None:
        self.log.append((hook, self.name))

    for cls in named:
        cls.note = note  # type: ignore[attr-defined]
    outcome = run(bert, *both, recipe=TRAIN.replace(steps=1))
    assert outcome.weights == run(bert, recipe=TRAIN.replace(steps=1)).weights
    for hook in ("initialize", "setup", "forward_weights", "penalty", "edit_gradient", "after_step"):
        assert [name for h, name in log if h == hook] == ["spy-1", "spy-2"], hook
    # Gradients nest: the last one asks first and hears last, so the first one finishes first.
    assert [name for h, name in log if h == "gradient"] == ["spy-1", "spy-2"]


# --- one method for each hook, against what it must amount to


def method(name: str, **hooks: Any) -> Stabilizer:
    """Return an instance of a new stabilizer with the given hooks."""
    return dataclass(frozen=True)(type(name.title().replace("-", ""), (Stabilizer,), {"name": name, **hooks}))()  # type: ignore[no-any-return]


def test_a_penalty_is_added_to_the_loss(bert: Encoder) -> None:
    """Adding the loss itself once more doubles the gradient (and is clipped back to the same one)."""
    double = method(
        "double",
        penalty=lambda self, forward, batch, ctx: torch.nn.functional.cross_entropy(forward.logits, batch.labels),
    )
    recipe = TRAIN.replace(steps=1, clip=0, evaluations=1)
    plain, twice = run(bert, recipe=recipe), run(bert, double, recipe=recipe)
    for place, size in plain.evaluations[0].gradient_norm.items():
        assert twice.evaluations[0].gradient_norm[place] == pytest.approx(2 * size, rel=1e-5)
    assert twice.evaluations[0].train_loss == pytest.approx(2 * plain.evaluations[0].train_loss, rel=1e-6)
    assert twice.evaluations[0].validation_loss == pytest.approx(plain.evaluations[0].validation_loss, rel=0.2)


@pytest.mark.parametrize("micro", [None, 3])
def test_a_penalty_that_is_a_number_or_zero_moves_nothing(bert: Encoder, micro: int | None) -> None:
    recipe = TRAIN.replace(micro_batch=micro)
    plain, shifted = run(bert, recipe=recipe), run(bert, method("five", penalty=lambda *_: 5.0), recipe=recipe)
    assert shifted.weights == plain.weights
    assert shifted.evaluations[0].train_loss == pytest.approx(plain.evaluations[0].train_loss + 5, rel=1e-6)


def test_l2_towards_the_pretrained_weights_by_penalty_on_hidden_states(bert: Encoder) -> None:
    """A penalty on the hidden states reaches the encoder."""
    calm = method("calm", penalty=lambda self, forward, batch, ctx: 1e3 * forward.hidden[-1].square().mean())
    plain, calmed = run(bert), run(bert, calm)
    assert calmed.weights != plain.weights
    assert calmed.evaluations[0].gradient_norm["layer.0"] > 10 * plain.evaluations[0].gradient_norm["layer.0"]


def test_sharpness_aware_gradient(bert: Encoder) -> None:
    """Two gradients in one step, the second at a neighbouring point, both with the same dropout masks."""
    asked: list[dict[str, Tensor]] = []

    def gradient(self: Stabilizer, grad_at: Any, params: Any, state: Any, ctx: Any) -> Any:
        _, here = grad_at(params)
        _, again = grad_at(params)
        assert same(here, again), "the noise of a step is the step's, not the call's"
        asked.append(copies(params))
        return grad_at({n: t + 0.05 * here[n] for n, t in params.items()})

    outcome = run(bert, method("sam", gradient=gradient))
    assert outcome.weights != run(bert).weights
    assert len(asked) == 6
    assert np.isfinite(outcome.evaluations[-1].train_loss)


def test_a_gradient_of_zero_leaves_all_but_decay(bert: Encoder) -> None:
    def gradient(self: Stabilizer, grad_at: Any, params: Any, state: Any, ctx: Any) -> Any:
        loss, grads = grad_at(params)
        return loss, {n: torch.zeros_like(g) for n, g in grads.items()}

    outcome = run(bert, method("still", gradient=gradient), recipe=TRAIN.replace(weight_decay=0.0))
    assert outcome.final_weights is not None
    assert all(d == 0 for d in outcome.evaluations[-1].distance.values())
    assert same(
        {n: outcome.final_weights[n] for n in bert.pretrained_classifier(2).pretrained},
        bert.pretrained_classifier(2).pretrained,
    )


def test_edited_gradients_reach_the_optimizer(bert: Encoder) -> None:
    def only_biases(self: Stabilizer, grads: Any, state: Any, ctx: Any) -> Any:
        return {n: g if n.endswith("bias") else torch.zeros_like(g) for n, g in grads.items()}

    outcome = run(bert, method("only-biases", edit_gradient=only_biases), recipe=TRAIN.replace(weight_decay=0))
    assert outcome.final_weights is not None
    for name, start in bert.pretrained_classifier(2).pretrained.items():
        # Key biases never move: attention does not depend on them.
        if "key.bias" not in name:
            assert torch.equal(outcome.final_weights[name], start) != name.endswith("bias"), name


def test_rates_scale_the_steps_of_their_tensors(bert: Encoder) -> None:
    """Adam's steps are proportional to the rate; a rate of 0 freezes, decay included."""
    factors = {"embeddings": 0.0, "layer.0": 0.25, "layer.1": 0.5, "pooler": 1.0, "head": 2.0}
    slow = method("slow", rate=lambda self, name, ctx: factors[ctx.layout.module_group(name)])
    recipe = TRAIN.replace(steps=1, evaluations=1, warmup=0)
    plain, scaled = run(bert, recipe=recipe).evaluations[0], run(bert, slow, recipe=recipe).evaluations[0]
    for place, factor in factors.items():
        assert scaled.distance[place] == pytest.approx(factor * plain.distance[place], rel=1e-3), place
    assert scaled.gradient_norm == plain.gradient_norm


def test_rates_follow_progress_and_multiply(bert: Encoder) -> None:
    """Two methods that halve the rate, on a constant schedule, equal a quarter of the rate."""
    constant = TRAIN.replace(schedule="constant", warmup=0)
    halves = [method(f"half-{k}", rate=lambda self, name, ctx: 0.5) for k in (1, 2)]
    assert (
        run(bert, *halves, recipe=constant).weights
        == run(bert, recipe=constant.replace(learning_rate=0.25 * 3e-3)).weights
    )
    ramp = method("ramp", rate=lambda self, name, ctx: multiplier("linear", ctx.step, ctx.total_steps, 0.0))
    down = run(bert, ramp, recipe=constant)
    linear = run(bert, recipe=TRAIN.replace(warmup=0))
    assert down.weights == linear.weights


def test_forward_weights_are_read_in_training_alone(bert: Encoder) -> None:
    """Mixout with p = 1 towards the pretrained weights: the loss sees only those, evaluations see the trained ones."""

    def forward_weights(self: Stabilizer, params: Any, ctx: Any) -> Any:
        return {n: ctx.reference[n] + 0 * t if n in ctx.reference else t for n, t in params.items()}

    outcome = run(
        bert, method("anchored", forward_weights=forward_weights), recipe=TRAIN.replace(dropout=0, weight_decay=0)
    )
    first = outcome.evaluations[0]
    assert first.gradient_norm["layer.0"] == 0.0, "the pretrained weights are constants"
    assert first.gradient_norm["head"] > 0
    assert outcome.evaluations[-1].distance["layer.1"] == 0.0
    assert outcome.evaluations[-1].distance["head"] > 0


def test_after_step_keeps_its_own_average_and_evaluation_reads_it(bert: Encoder) -> None:
    """Averaging all weights: what is scored is the average, what is trained is not."""

    class Average(Stabilizer):
        name = "average"

        def setup(self, params: Any, ctx: Any) -> Any:
            return {"n": 0, "sum": {name: torch.zeros_like(t) for name, t in params.items()}}

        def after_step(self, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
            total = {n: state["sum"][n] + params.get(n, 0) for n in state["sum"]}
            return params, {"n": state["n"] + 1, "sum": total}

        def evaluation(self, params: Any, state: Any) -> Any:
            return [{n: state["sum"][n] / state["n"] for n in params}]

    plain, averaged = run(bert), run(bert, dataclass(frozen=True)(Average)())
    assert averaged.weights == plain.weights, "the training itself is the same"
    assert averaged.predictions[0].logits.tolist() != plain.predictions[0].logits.tolist()
    steps: list[dict[str, Tensor]] = []

    def watch(self: Stabilizer, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
        steps.append(copies(params))
        return params, state

    run(bert, method("watch", after_step=watch))
    assert averaged.final_weights is not None
    for name in steps[0]:
        mean = torch.stack([s[name] for s in steps]).mean(0)
        torch.testing.assert_close(averaged.final_weights[name], mean, rtol=1e-5, atol=1e-6)


def test_several_members_are_averaged_in_their_predictions(bert: Encoder) -> None:
    """Two members, one with its head's sign turned, cancel exactly."""

    def evaluation(self: Stabilizer, params: Any, state: Any) -> Any:
        return [params, {n: -t if n.startswith("classifier") else t for n, t in params.items()}]

    outcome = run(bert, method("twins", evaluation=evaluation))
    assert all((p.logits == 0).all() for p in outcome.predictions)
    assert outcome.constant
    assert outcome.weights == run(bert).weights


def test_after_step_may_move_the_weights(bert: Encoder) -> None:
    """Pulling everything back to the start after each step: nothing has moved in the end."""

    def after_step(self: Stabilizer, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
        return dict(previous), state

    outcome = run(bert, method("undo", after_step=after_step))
    assert all(d == 0 for d in outcome.evaluations[-1].distance.values())


def test_initialize_may_add_tensors_that_forward_weights_uses(bert: Encoder) -> None:
    """A low-rank update: the added tensors train, the weight they belong to may stay frozen."""
    target = "bert.encoder.layer.1.output.dense.weight"

    class LowRank(Stabilizer):
        name = "low-rank"

        def initialize(self, params: Any, ctx: Any) -> Any:
            a = ctx.normal(f"{target}.a", params[target].new_zeros(2, 32), std=0.1, purpose="low-rank")
            return {**params, f"{target}.a": a, f"{target}.b": params[target].new_zeros(16, 2)}

        def frozen(self, name: str, layout: Any) -> bool:
            return name == target

        def forward_weights(self, params: Any, ctx: Any) -> Any:
            rest = {n: t for n, t in params.items() if n not in (f"{target}.a", f"{target}.b")}
            return {**rest, target: params[target] + params[f"{target}.b"] @ params[f"{target}.a"]}

        def evaluation(self, params: Any, state: Any) -> Any:
            return [self.forward_weights(params, None)]

    outcome = run(bert, dataclass(frozen=True)(LowRank)())
    assert outcome.frozen == (target,)
    assert set(outcome.reinitialized) == {f"{target}.a", f"{target}.b"}
    assert outcome.final_weights is not None
    assert not torch.equal(outcome.final_weights[target], bert.pretrained_classifier(2).pretrained[target]), (
        "merged for evaluation"
    )


def test_hooks_work_under_head_tuning(bert: Encoder) -> None:
    spy = Spy()
    recipe = TRAIN.replace(mode="head", learning_rate=0.01)
    assert run(bert, spy, recipe=recipe).weights == run(bert, recipe=recipe).weights
    first = calls(spy, "penalty")[0]
    assert first["forward"].hidden is None
    assert first["batch"].tokens.shape == (8, 16)


def test_named_draws_are_the_same_on_each_request_and_differ_by_name(bert: Encoder) -> None:
    context = replace(calls_context(bert), seeds=Seeds(init=4))
    like = torch.zeros(300, 5)
    a, again = (context.normal("a", like, std=0.5, purpose="x") for _ in range(2))
    assert torch.equal(a, again)
    assert a.std().item() == pytest.approx(0.5, abs=0.05)
    for other in (
        context.normal("b", like, std=0.5, purpose="x"),
        context.normal("a", like, std=0.5, purpose="y"),
        replace(context, seeds=Seeds(init=5)).normal("a", like, std=0.5, purpose="x"),
    ):
        assert abs(np.corrcoef(a.flatten(), other.flatten())[0, 1]) < 0.15
    assert context.normal("a", like.double(), std=0.5, purpose="x").dtype == torch.float64


def calls_context(encoder: Encoder) -> Any:
    spy = Spy()
    run(encoder, spy, recipe=TRAIN.replace(steps=1))
    context = calls(spy, "setup")[0]["ctx"]
    assert {f.name for f in fields(context)} >= {
        "recipe",
        "layout",
        "task",
        "reference",
        "seeds",
        "total_steps",
        "step",
    }
    return context
