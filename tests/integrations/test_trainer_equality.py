"""In a Trainer every method makes the very updates that it makes in this project's own loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.integrations.trainer import stabilize
from stabilitybench.stabilizers import Context, Stabilizer, build, catalogue
from stabilitybench.tasks.base import Task
from support.families import make_task
from support.trainers import RECIPE, REFUSED, SEEDS, distance, make_trainer, own_loop, parameters, run_own, run_trainer

TOLERANCE = 1e-10


def assert_equal(
    encoder: Encoder, task: Task, folder: Path, methods: tuple[Stabilizer, ...], recipe: Any = RECIPE, **changes: Any
) -> None:
    """Hold three steps in a Trainer, and the weights it leaves, against the same in our own loop."""
    trainer = stabilize(make_trainer(encoder, task, folder, **changes), methods, seeds=SEEDS)
    theirs = run_trainer(trainer)
    loop = own_loop(encoder, task, recipe, methods)
    start = dict(loop.training.start)
    ours = run_own(loop, 3)
    assert trainer.state.max_steps == loop.ctx.total_steps
    assert max(distance(start, after) for after in ours) > 1e-5  # something was trained
    for a, b in zip(ours, theirs, strict=True):
        assert distance(a, b) < TOLERANCE
    assert distance(loop.members()[0], parameters(trainer.model)) < TOLERANCE


class TestEveryMethod:
    @pytest.mark.parametrize("name", sorted(catalogue()))
    def test_is_equal_or_refused_with_a_sentence(self, name: str, bert: Encoder, task: Task, folder: Path) -> None:
        if name not in REFUSED:
            assert_equal(bert, task, folder, (build(name),))
            return
        with pytest.raises(UserError, match=REFUSED[name]) as refusal:
            stabilize(make_trainer(bert, task, folder), [build(name)])
        assert "\n" not in str(refusal.value)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("bert-adam", {"variant": "original"}),
            ("mixout", {"p": 0.5, "variant": "reference"}),
            ("mixout", {"p": 1.0}),
            ("r3f", {"variant": "reference", "noise": "normal", "epsilon": 1e-3}),
            ("smart", {"variant": "sum", "radius": 1.0}),
            ("mmr", {"normalise": False, "alpha": 2.0}),
            ("mh-loss", {"loss": "sum", "heads": 3}),
            ("lora", {"targets": ["query", "key", "value", "output"], "rank": 2}),
            ("pretrained-decay", {"strength": 0.5, "variant": "reference"}),
            ("gradual-unfreezing", {"over": 1.0}),
            ("freeze", {"layers": 2, "dropout": False}),
            ("swa", {"start": 0.0, "every": 2}),
        ],
    )
    def test_with_other_parameters(
        self, name: str, settings: dict[str, Any], bert: Encoder, task: Task, folder: Path
    ) -> None:
        assert_equal(bert, task, folder, (build(name, settings),))


class TestComposition:
    @pytest.mark.parametrize(
        "names",
        [
            ("reinit", "mixout"),
            ("bert-adam", "llrd"),
            ("mmr", "r3f", "lnsr"),
            ("sam", "mh-loss", "mixout"),
            ("sam", "l2-sp", "mixout"),
            ("lora", "ema", "llrd"),
            ("lp-ft", "pretrained-decay", "child-tuning-f"),
            ("gradual-unfreezing", "reinit", "smart"),
        ],
    )
    def test_of_several(self, names: tuple[str, ...], bert: Encoder, task: Task, folder: Path) -> None:
        assert_equal(bert, task, folder, tuple(build(name) for name in names))

    def test_the_order_given_does_not_matter(self, bert: Encoder, task: Task, folder: Path) -> None:
        methods = (build("mixout", {"p": 0.5}), build("reinit"))
        both = [run_trainer(stabilize(make_trainer(bert, task, folder), given)) for given in (methods, methods[::-1])]
        assert distance(both[0][-1], both[1][-1]) == 0

    def test_no_stabilizer_is_the_plain_recipe(self, bert: Encoder, task: Task, folder: Path) -> None:
        assert_equal(bert, task, folder, ())


class TestOtherModels:
    @pytest.mark.slow
    @pytest.mark.parametrize("family", ["roberta", "electra", "distilbert", "albert"])
    def test_of_every_family(self, family: str, encoders: dict[str, Encoder], task: Task, folder: Path) -> None:
        methods = [build("mixout"), build("sam")]
        if family != "albert":  # which shares its layers
            methods += [build("reinit"), build("lnsr"), build("llrd")]
        for one in (build("mh-loss", {"heads": 2}), build("r3f")):  # which exclude each other
            assert_equal(encoders[family], task, folder, (*methods, one))

    def test_regression(self, bert: Encoder, folder: Path) -> None:
        methods = tuple(build(name) for name in ("smart", "lp-ft", "lnsr", "l2-sp"))
        assert_equal(bert, make_task(kind="regression"), folder, methods)

    def test_several_classes(self, bert: Encoder, folder: Path) -> None:
        assert_equal(bert, make_task(classes=4, pair=True), folder, (build("mmr"), build("lp-ft")))


class TestAccumulation:
    """Micro-batches change nothing: their mean is trained on, and a method sees the whole gradient."""

    @pytest.mark.parametrize(
        "names", [(), ("r3f", "llrd"), ("sam", "l2-sp"), ("child-tuning-d",), ("mixout", "lnsr", "ema")]
    )
    def test_equals_the_own_loop(self, names: tuple[str, ...], bert: Encoder, task: Task, folder: Path) -> None:
        assert_equal(
            bert, task, folder, tuple(build(name) for name in names), RECIPE.replace(micro_batch=4),
            per_device_train_batch_size=4, gradient_accumulation_steps=2,
        )  # fmt: skip

    def test_the_loss_is_not_added_up(self, bert: Encoder, task: Task, folder: Path) -> None:
        whole = stabilize(make_trainer(bert, task, folder, max_grad_norm=0.0), ())
        parts = stabilize(
            make_trainer(
                bert, task, folder, max_grad_norm=0.0, per_device_train_batch_size=2, gradient_accumulation_steps=4
            ),
            (),
        )
        losses = []
        for trainer in (whole, parts):
            run_trainer(trainer, 1)
            losses.append(trainer.state.log_history[-1]["train_loss"])
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)


class TestSchedule:
    def test_rates_multiply_the_trainers_own_schedule(self, bert: Encoder, task: Task, folder: Path) -> None:
        seen: list[set[float]] = []

        class Spy(torch.optim.SGD):
            def step(self, closure: Any = None) -> None:
                seen.append({round(group["lr"], 12) for group in self.param_groups})

        trainer = make_trainer(bert, task, folder, lr_scheduler_type="cosine")
        trainer.optimizer = Spy(trainer.model.parameters(), lr=1.0)
        trainer = stabilize(trainer, [build("llrd", {"decay": 0.5})])
        run_trainer(trainer)
        cosine = [1.0, 0.75, 0.25]
        assert seen == [{round(c * 0.5**k, 12) for k in range(4)} for c in cosine]
        assert len(trainer.optimizer.param_groups) == 1  # as it was, for the schedule and for saving

    def test_slanted_with_warmup(self, bert: Encoder, folder: Path) -> None:
        recipe = RECIPE.replace(steps=10, warmup=0.2)
        task = make_task(train=80)
        assert_equal(bert, task, folder, (build("gradual-unfreezing"),), recipe, max_steps=10, warmup_steps=0.2)

    def test_other_schedules_stay(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = stabilize(make_trainer(bert, task, folder, lr_scheduler_type="cosine"), [build("mixout")])
        assert trainer.args.lr_scheduler_type == "cosine"


class TestSeeds:
    def test_by_default_the_trainers(self, bert: Encoder, task: Task, folder: Path) -> None:
        runs = [
            run_trainer(stabilize(make_trainer(bert, task, folder, seed=seed), [build("reinit")], **given))
            for seed, given in ((3, {}), (4, {"seeds": SEEDS}), (4, {}))
        ]
        assert distance(runs[0][-1], runs[1][-1]) == 0
        assert distance(runs[0][-1], runs[2][-1]) > 0


class TestMeasures:
    def test_are_logged_at_each_evaluation(self, bert: Encoder, task: Task, folder: Path) -> None:
        class Distance(Stabilizer):
            name = "distance"

            def measures(self, params: Any, ctx: Context) -> dict[str, float]:
                features, labels = ctx.training_features(params)
                assert features.shape == (24, 16)
                assert labels.tolist() == [row["labels"] for row in trainer.train_dataset]
                moved = sum(float((params[n] - ctx.start[n]).square().sum()) for n in params)
                return {"moved": moved, "size": float(features.abs().mean())}

        trainer = stabilize(make_trainer(bert, task, folder, eval_strategy="steps", eval_steps=1), [Distance()])
        run_trainer(trainer)
        logged = [log for log in trainer.state.log_history if "moved" in log]
        assert [log["step"] for log in logged] == [1, 2, 3]
        assert 0 < logged[0]["moved"] < logged[2]["moved"]
        assert all(log["size"] > 0 for log in logged)
