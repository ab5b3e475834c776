"""The battery passes what is right and says in one sentence what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from stabilitybench.stabilizers import Stabilizer, build, catalogue
from stabilitybench.testing import check_stabilizer

COUNT = count()
DOC = """Do something for a test.

    Modifies: what the test says.
    """


def method(name: str, doc: str = DOC, **hooks: Any) -> Stabilizer:
    """Return a stabilizer made of the hooks given."""
    cls = type(name, (Stabilizer,), {"name": name, "paper": "A test", "__doc__": doc, **hooks})
    return dataclass(frozen=True)(cls)()


def broken(stabilizer: Stabilizer) -> dict[str, str]:
    return {f.check: f.text for f in check_stabilizer(stabilizer).findings if not f.ok}


@pytest.mark.parametrize("name", ["reinit", "mixout", "mh-loss"])
def test_shipped_methods_pass(name: str) -> None:
    found = check_stabilizer(build(name))
    assert found.ok, [f for f in found.findings if not f.ok]
    assert found.time_ratio is not None
    assert 0.3 < found.time_ratio < 30
    assert found.memory_ratio is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue())
def test_every_shipped_method_passes(name: str) -> None:
    found = check_stabilizer(build(name))
    assert found.ok, [f for f in found.findings if not f.ok]


def test_memory_counts_what_the_method_keeps() -> None:
    plain, average = (check_stabilizer(build(name)).memory_ratio for name in ("llrd", "ema"))
    assert plain == pytest.approx(1)
    assert average == pytest.approx(1.25)


def test_a_hook_that_works_in_place_is_named() -> None:
    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        grads["classifier.weight"].mul_(2)
        return grads

    found = broken(method("in-place", edit_gradient=edit_gradient))
    assert found["changes nothing it is given"] == (
        "edit_gradient changes classifier.weight in place: return a new tensor instead"
    )


def test_a_method_that_ignores_its_seed() -> None:
    def initialize(self: Any, params: Any, ctx: Any) -> Any:
        name = f"{ctx.layout.output(params)}.weight"
        drawn = np.random.default_rng(0).normal(0, 0.02, params[name].shape)
        return {**params, name: torch.from_numpy(drawn).float()}

    found = broken(method("deaf", initialize=initialize))
    assert list(found) == ["draws by its seeds"]
    assert (
        "classifier.weight gets the same random numbers under every seed: draw them with ctx.normal" in found.popitem()
    )


def test_a_method_whose_noise_is_the_same_at_every_step() -> None:
    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        rng = ctx.generator("dropout", "mine")
        return {n: g + 1e-3 * torch.from_numpy(rng.standard_normal(tuple(g.shape))).to(g) for n, g in grads.items()}

    found = broken(method("stuck", edit_gradient=edit_gradient))
    assert list(found) == ["draws anew at each step"]
    assert found.popitem()[1].startswith("edit_gradient draws the same numbers at every step (dropout, mine): use ctx.")


def test_normal_noise_of_a_step_is_drawn_anew() -> None:
    seen: dict[int, list[torch.Tensor]] = {}

    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        noise = {n: ctx.normal(n, g, std=1e-3, purpose="mine") for n, g in grads.items()}
        if "classifier.weight" in noise:
            seen.setdefault(ctx.step, []).append(noise["classifier.weight"])
        return {n: g + noise[n] for n, g in grads.items()}

    assert not broken(method("fresh-noise", edit_gradient=edit_gradient))
    first, second = seen[0][0], seen[1][0]
    assert not torch.equal(first, second), "another step, other noise"
    assert any(torch.equal(first, other) for other in seen[0][1:]), "the same step of the same run, the same noise"


def test_a_method_that_draws_from_the_global_generator() -> None:
    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        return {n: g * (torch.rand(()) > 0.5) for n, g in grads.items()}

    text = broken(method("global-noise", edit_gradient=edit_gradient))["repeats itself"]
    assert "other weights" in text
    assert "ctx.generator" in text


def test_a_method_that_remembers_the_last_run() -> None:
    seen: list[int] = []

    def penalty(self: Any, forward: Any, batch: Any, ctx: Any) -> Any:
        seen.append(1)
        return len(seen) * 1e-3 * forward.logits.square().mean()

    assert "keep no state" in broken(method("forgetful", penalty=penalty))["repeats itself"]


def test_a_method_that_moves_what_it_froze() -> None:
    def evaluation(self: Any, params: Any, state: Any) -> Any:
        return [{n: t * 0.9 for n, t in params.items()}]

    frozen = lambda self, name, layout: layout.module_group(name) == "embeddings"  # noqa: E731
    text = broken(method("thaw", frozen=frozen, evaluation=evaluation))["leaves frozen tensors alone"]
    assert "is declared frozen and ends changed" in text


def test_a_method_that_is_not_neutral() -> None:
    penalty = lambda self, forward, batch, ctx: 1e-3 * forward.logits.square().mean()  # noqa: E731
    neutral = lambda self: type(self)()  # noqa: E731
    found = broken(method("biased", penalty=penalty, neutral=neutral))
    assert "differs from the plain recipe" in found["is neutral where it says so"]


def test_a_method_without_effect() -> None:
    text = broken(method("lazy", penalise=lambda self, *_: 1.0))["has an effect"]
    assert "spelled as in the contract" in text


def test_a_method_that_detaches() -> None:
    penalty = lambda self, forward, batch, ctx: forward.logits.square().mean().detach() ** 2  # noqa: E731
    text = broken(method("detached", penalty=penalty))["has the gradient of its loss"]
    assert "set exact_gradient = False" in text


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (
            lambda logits, ctx: float(logits.detach().sum()) * logits.sum(),
            "declares on_device, and a device would wait for aten::_local_scalar_dense in a step: calculate with "
            "tensors alone, or do not declare it",
        ),
        (
            lambda logits, ctx: ctx.step * logits.sum(),
            "stops with UserError: ctx.step is read in a step that runs on the device as one piece: a stabilizer whose "
            "hooks need it must not set on_device",
        ),
        (lambda logits, ctx: next(COUNT) * logits.sum(), "declares on_device, and a step as one piece ends elsewhere"),
    ],
)
def test_a_method_that_does_not_step_as_it_declares(read: Any, told: str) -> None:
    def penalty(self: Any, forward: Any, batch: Any, ctx: Any) -> Any:
        return 0.1 * read(forward.logits, ctx)

    found = broken(method("declaring", on_device=True, penalty=penalty))
    assert found["steps on a device as it says"].startswith(told)
    assert "steps on a device as it says" not in broken(method("silent", penalty=penalty))


def test_a_method_that_stops_with_a_traceback_where_it_cannot_work() -> None:
    penalty = lambda self, forward, batch, ctx: forward.hidden[-1].square().mean()  # noqa: E731
    text = broken(method("hidden", penalty=penalty))["works or refuses in one sentence"]
    assert "head tuning with TypeError" in text
    assert "let `supports` raise UserError there" in text


def test_a_method_that_leaves_tensors_behind() -> None:
    initialize = lambda self, params, ctx: {**params, "classifier.extra": torch.ones(2)}  # noqa: E731
    assert "classifier.extra" in broken(method("litter", initialize=initialize))["evaluates a plain classifier"]


@pytest.mark.parametrize(("doc", "sentence"), [("no full stop", "full stop"), ("One sentence.", 'after "Modifies:"')])
def test_a_method_that_does_not_say_what_it_is(doc: str, sentence: str) -> None:
    found = broken(method("mute", doc, penalty=lambda self, forward, *_: 1e-3 * forward.logits.square().mean()))
    assert sentence in found["says what it is"]
