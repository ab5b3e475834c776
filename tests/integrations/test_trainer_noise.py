"""With dropout on: what changes nothing changes not a bit, and second passes see the masks they should."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stabilitybench.encoders import Encoder
from stabilitybench.integrations.trainer import stabilize
from stabilitybench.stabilizers import Batch, Context, Forward, Stabilizer, build, catalogue
from stabilitybench.tasks.base import Task
from support.trainers import SEEDS, distance, make_trainer, model_of, run_trainer

#: Both say by name what a Trainer does anyway; the others' neutral instances follow from the catalogue.
NEUTRAL = {
    name: neutral
    for name in sorted(catalogue())
    if (neutral := build(name).neutral()) is not None and not neutral.overrides("members")
}


def noisy(encoder: Encoder, task: Task, folder: Path, **changes: Any) -> Any:
    """Return a Trainer in single precision with BERT's usual dropout."""
    return make_trainer(encoder, task, folder, model=model_of(encoder, task, torch.float32, noisy=True), **changes)


def run_seeded(trainer: Any) -> list[dict[str, torch.Tensor]]:
    """Train with torch's generator, from which dropout comes, in a known state; put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return run_trainer(trainer)


@pytest.fixture(scope="module")
def plain(bert: Encoder, task: Task, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    """Three steps of a Trainer that nobody stabilized."""
    return run_seeded(noisy(bert, task, tmp_path_factory.mktemp("plain")))


class TestNeutral:
    @pytest.mark.parametrize("name", sorted(NEUTRAL))
    def test_equals_the_plain_trainer_bit_for_bit(
        self, name: str, bert: Encoder, task: Task, folder: Path, plain: list[dict[str, torch.Tensor]]
    ) -> None:
        theirs = run_seeded(stabilize(noisy(bert, task, folder), [NEUTRAL[name]], seeds=SEEDS))
        for a, b in zip(plain, theirs, strict=True):
            assert distance(a, b) == 0

    def test_second_passes_do_not_shift_the_dropout_of_the_first(
        self, bert: Encoder, task: Task, folder: Path, plain: list[dict[str, torch.Tensor]]
    ) -> None:
        weak = [build("r3f", {"weight": 1e-30}), build("smart", {"weight": 1e-30}), build("sam", {"radius": 1e-30})]
        theirs = run_seeded(stabilize(noisy(bert, task, folder), weak, seeds=SEEDS))
        assert distance(plain[-1], theirs[-1]) < 1e-7

    def test_an_epoch_of_gradients_does_not_shift_it_either(
        self, bert: Encoder, task: Task, folder: Path, plain: list[dict[str, torch.Tensor]]
    ) -> None:
        theirs = run_seeded(stabilize(noisy(bert, task, folder), [build("child-tuning-d")], seeds=SEEDS))
        head = "classifier.weight"  # which child-tuning leaves alone
        assert torch.equal(plain[0][head], theirs[0][head])
        assert distance(plain[0], theirs[0]) > 0


class TestMasks:
    def test_of_a_second_pass(self, bert: Encoder, task: Task, folder: Path) -> None:
        seen: list[tuple[float, float, float]] = []

        class Look(Stabilizer):
            name = "look"

            def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> float:
                again, others, twice = (forward.rerun({}, dropout_key=key) for key in ("", "x", "x"))
                pairs = ((forward, again), (forward, others), (others, twice))
                seen.append(tuple(float((a.logits - b.logits).detach().abs().max()) for a, b in pairs))  # type: ignore[arg-type]
                return 0.0

        run_trainer(stabilize(noisy(bert, task, folder), [Look()]), 2)
        assert len(seen) == 2
        for same, other, repeated in seen:
            assert same == 0
            assert other > 1e-4
            assert repeated == 0

    def test_sam_sees_the_same_masks_in_both_passes(self, bert: Encoder, task: Task, folder: Path) -> None:
        losses: list[float] = []

        class Twice(Stabilizer):
            name = "twice"

            def gradient(self, grad_at: Any, params: Any, state: Any, ctx: Context) -> Any:
                first = grad_at(params)
                losses.extend(float(grad_at(p)[0]) for p in (params, {n: t.clone() for n, t in params.items()}))
                return first

        run_trainer(
            stabilize(
                noisy(bert, task, folder, per_device_train_batch_size=4, gradient_accumulation_steps=2), [Twice()]
            )
        )
        assert losses[0] == losses[1] != losses[2] == losses[3]

    def test_mixout_and_freeze_switch_dropout_off_and_give_it_back(
        self, bert: Encoder, task: Task, folder: Path
    ) -> None:
        for method, off in ((build("mixout"), 8), (build("freeze", {"dropout": False}), 4)):
            trainer = stabilize(noisy(bert, task, folder), [method])
            rates = {n: m.p for n, m in trainer.model.named_modules() if isinstance(m, torch.nn.Dropout)}
            during: list[int] = []
            model = trainer.model
            model.register_forward_pre_hook(
                lambda m, _, seen=during: seen.append(
                    sum(isinstance(p, torch.nn.Dropout) and p.p == 0 for p in m.modules())
                )
            )
            run_trainer(trainer, 1)
            assert during[0] == off
            assert rates == {n: m.p for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
            assert set(rates.values()) == {0.1}


class TestGlobalGenerators:
    def test_methods_leave_them_alone(self, bert: Encoder, task: Task, folder: Path) -> None:
        import sklearn.linear_model  # noqa: F401 - its first import draws from `random`

        quiet = make_trainer(bert, task, folder)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        methods = [build(n) for n in ("reinit", "mixout", "r3f", "smart", "sam", "child-tuning-f", "lp-ft")]
        stabilize(quiet, methods)
        after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        assert (before[1] == after[1]).all()
        assert before[2] == after[2]


@pytest.mark.parametrize("one", ["r3f", "mh-loss"])
def test_bf16_is_near_single_precision(one: str, bert: Encoder, task: Task, folder: Path) -> None:
    names = ("mixout", one, "mmr", "sam", "lnsr")
    runs, kinds = [], []

    class Look(Stabilizer):
        name = "look"

        def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> float:
            assert forward.embeddings is not None
            kinds.append((forward.logits.dtype, forward.features.dtype))
            return 0.0

    for bf16 in (False, True):
        model = model_of(bert, task, torch.float32)
        trainer = make_trainer(bert, task, folder, model=model, bf16=bf16, max_grad_norm=0.0)
        trainer.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # Adam would blow rounding up
        runs.append(run_trainer(stabilize(trainer, [*(build(name) for name in names), Look()])))
    assert set(kinds) == {(torch.float32, torch.float32)}
    assert 0 < distance(runs[0][2], runs[1][2]) < 0.2 * distance(runs[0][0], runs[0][2])
