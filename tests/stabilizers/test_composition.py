"""Which method acts before which, which cannot stand together, and what a context offers when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import pytest
import torch

from stabilitybench.encoders import Encoder, Layout
from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Composition, Position, Stabilizer, Trait, build, catalogue, compose
from stabilitybench.stabilizers.traits import EXCLUSIVE, INCOMPATIBLE
from support.families import make_task

#: The order enters every run id: a change of it would make new runs of old ones.
ORDER = [
    "surt",
    "intermediate-task",
    "reinit",
    "mh-loss",
    "zero-head",
    "bitfit",
    "freeze",
    "lp-ft",
    "mixout",
    "l2-sp",
    "lora",
    "bert-adam",
    "child-tuning-d",
    "child-tuning-f",
    "debiased-adam",
    "gradual-unfreezing",
    "llrd",
    "lnsr",
    "longer",
    "mmr",
    "r3f",
    "r4f",
    "small-rate",
    "smart",
    "sam",
    "pretrained-decay",
    "ema",
    "swa",
    "deni",
]
#: Pairs that exclude each other whatever the encoder, and those that do in their defaults once it is known.
ALWAYS = {
    "bert-adam debiased-adam", "bert-adam small-rate", "bitfit lora", "child-tuning-d deni", "deni ema",
    "deni gradual-unfreezing", "deni swa", "longer small-rate", "lp-ft mh-loss", "lp-ft zero-head", "mh-loss r3f",
    "mh-loss r4f", "mh-loss smart", "mh-loss zero-head",
}  # fmt: skip
ONCE_KNOWN = {"bitfit reinit", "lora reinit"}


def shipped() -> list[str]:
    return [name for name, cls in catalogue().items() if cls.__module__.startswith("stabilitybench.stabilizers.")]


def test_every_pair_of_shipped_methods_acts_in_the_order_that_ids_are_made_of() -> None:
    assert set(ORDER) <= set(shipped())
    for pair in permutations(ORDER, 2):
        if " ".join(sorted(pair)) not in ALWAYS:
            names = [s.name for s in compose(map(build, pair))]
            assert names == sorted(pair, key=ORDER.index), pair


@pytest.mark.parametrize("layout", [None, Layout("bert", 2), Layout("bert", 12)])
def test_these_pairs_exclude_each_other_and_no_others(layout: Layout | None) -> None:
    found = {}
    for pair in combinations(sorted(ORDER), 2):
        try:
            compose(map(build, pair), layout)
        except UserError as refusal:
            found[" ".join(pair)] = str(refusal)
    for names, sentence in found.items():
        one, other = names.split()
        assert sentence.startswith(f'"{one}" and "{other}" exclude each other: ')
        assert re.search(r"; (keep one of them|drop one of the two)$", sentence)
    assert set(found) == (ALWAYS if layout is None else ALWAYS | ONCE_KNOWN)


def of_traits(name: str, *traits: Trait) -> Stabilizer:
    cls = type(name, (Stabilizer,), {"name": name, "traits": frozenset(traits)})
    return dataclass(frozen=True)(cls)()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("one", "other"), [*INCOMPATIBLE, *((trait, trait) for trait in EXCLUSIVE)])
def test_methods_of_others_take_part_by_their_traits(one: Trait, other: Trait) -> None:
    mine = of_traits("mine", one)
    theirs = next(build(n) for n in shipped() if other in catalogue()[n].traits)
    for pair in ((mine, theirs), (theirs, mine)):
        with pytest.raises(UserError, match=r"exclude each other: .*; keep one of them$"):
            compose(pair)
    compose((mine, of_traits("plain")))


def test_the_default_position_is_that_of_most_methods() -> None:
    names = [s.name for s in compose([build("ema"), of_traits("mine"), build("mixout"), build("llrd")])]
    assert names == ["mixout", "llrd", "mine", "ema"]
    assert Stabilizer.position is Position.LOSS


def test_gradients_nest_in_the_order_of_the_methods() -> None:
    def wrapping(name: str, factor: float) -> Stabilizer:
        def gradient(self: Any, grad_at: Any, params: Any, state: Any, ctx: Any) -> Any:
            loss, grads = grad_at(params)
            return loss, {n: factor * g + state for n, g in grads.items()}

        cls = type(name, (Stabilizer,), {"name": name, "gradient": gradient})
        return dataclass(frozen=True)(cls)()  # type: ignore[no-any-return]

    composition = Composition((wrapping("inner", 2.0), of_traits("silent"), wrapping("outer", 10.0)))
    ctx: Any = None
    _, grads = composition.gradient(
        lambda params: (torch.zeros(()), dict(params)), {"w": torch.ones(())}, [1.0, None, 5.0], ctx
    )
    assert float(grads["w"]) == 10 * (2 * 1 + 1) + 5


def test_what_was_composed_last_is_undone_first() -> None:
    def undoing(name: str) -> Stabilizer:
        def evaluation(self: Any, params: Any, state: Any) -> Any:
            return [{"w": params["w"] + (name,)}]

        cls = type(name, (Stabilizer,), {"name": name, "evaluation": evaluation})
        return dataclass(frozen=True)(cls)()  # type: ignore[no-any-return]

    empty: Any = {"w": ()}
    composition = Composition((undoing("a"), undoing("b")))
    assert composition.evaluation(empty, [None, None]) == [{"w": ("b", "a")}]


def test_the_gradients_of_the_first_epoch_are_refused_in_a_step(bert: Encoder) -> None:
    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        return next(iter(ctx.epoch_gradients()), grads)

    cls = type("late", (Stabilizer,), {"name": "late", "edit_gradient": edit_gradient})
    with pytest.raises(UserError, match=r"^ctx\.epoch_gradients\(\) is offered to `setup` alone: keep what you need"):
        finetune(bert, make_task(), Recipe(steps=1), (dataclass(frozen=True)(cls)(),))


def test_normal_draws_initial_values_before_the_training_and_noise_in_it(bert: Encoder) -> None:
    drawn: dict[str, list[torch.Tensor]] = {"setup": [], "step": []}

    def setup(self: Any, params: Any, ctx: Any) -> Any:
        drawn["setup"].append(ctx.normal("a", torch.zeros(50), std=1.0, purpose="x"))

    def edit_gradient(self: Any, grads: Any, state: Any, ctx: Any) -> Any:
        drawn["step"].append(ctx.normal("a", torch.zeros(50), std=1.0, purpose="x"))
        return grads

    cls = type("noisy", (Stabilizer,), {"name": "noisy", "setup": setup, "edit_gradient": edit_gradient})
    noisy = dataclass(frozen=True)(cls)()
    for seeds in (Seeds(), Seeds(init=1), Seeds(dropout=1)):
        finetune(bert, make_task(), Recipe(steps=2), (noisy,), seeds)
    by_init, by_noise = drawn["setup"], drawn["step"]
    assert not torch.equal(by_noise[0], by_noise[1]), "anew at each step"
    assert torch.equal(by_init[0], by_init[2])
    assert not torch.equal(by_init[0], by_init[1])
    assert torch.equal(by_noise[0], by_noise[2]), "noise does not hang on the init stream"
    assert not torch.equal(by_noise[0], by_noise[4])
