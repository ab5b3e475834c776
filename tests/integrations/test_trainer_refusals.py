"""What a Trainer cannot do is refused in one sentence, and leaves the Trainer as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import IterableDataset
from transformers import BertForTokenClassification, DistilBertConfig, DistilBertModel, Trainer

from stabilitybench.encoders import Encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.errors import UserError
from stabilitybench.integrations.trainer import stabilize
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Batch, Context, Forward, Stabilizer, build
from stabilitybench.tasks.base import Task
from support.families import config_of, make_task
from support.trainers import InOrder, arguments, make_trainer, model_of, parameters, run_trainer


def assert_refused(trainer: Any, methods: list[Stabilizer], words: str) -> None:
    """Check that `stabilize` refuses in one sentence and changes nothing."""
    args, kind, before = trainer.args, type(trainer), parameters(trainer.model)
    callbacks = list(trainer.callback_handler.callbacks)
    with pytest.raises(UserError, match=words) as refusal:
        stabilize(trainer, methods)
    assert "\n" not in str(refusal.value)
    assert trainer.args is args
    assert type(trainer) is kind
    assert trainer.callback_handler.callbacks == callbacks
    assert all(torch.equal(before[n], p) for n, p in trainer.model.named_parameters())
    assert all(p.requires_grad for p in trainer.model.parameters())


class TestTrainers:
    def test_twice(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = stabilize(make_trainer(bert, task, folder), [build("mixout")])
        with pytest.raises(UserError, match="stabilized already"):
            stabilize(trainer, [build("reinit")])

    def test_begun(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        run_trainer(trainer, 1)
        assert_refused(trainer, [build("mixout")], "begun to train")

    def test_trained_again(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = stabilize(make_trainer(bert, task, folder), [build("mixout")])
        run_trainer(trainer, 1)
        with pytest.raises(UserError, match="trains once"):
            trainer.train()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"fp16": True}, "fp16 = True"),
            ({"torch_compile": True}, "torch_compile = True"),
            ({"auto_find_batch_size": True}, "auto_find_batch_size"),
            ({"_n_gpu": 4}, "4 devices"),
            ({"seed": -1}, "seed = -1"),
            ({"weight_decay": 3.0}, r"TrainingArguments.weight_decay = 3.0: must be at most 1"),
            ({"learning_rate": 0.0}, r"TrainingArguments.learning_rate = 0.0: must be above 0"),
            ({"adam_beta2": 1.0}, "adam_beta2 = "),
        ],
    )
    def test_settings(self, change: dict[str, Any], words: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        for name, value in change.items():
            object.__setattr__(trainer.args, name, value)
        assert_refused(trainer, [build("mixout")], words)

    @pytest.mark.parametrize("flag", ["is_deepspeed_enabled", "is_fsdp_enabled", "is_model_parallel"])
    def test_several_devices(self, flag: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        setattr(trainer, flag, True)
        assert_refused(trainer, [build("mixout")], "on one device")

    def test_a_model_made_later(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        trainer.model_init = lambda: model_of(bert, task)
        assert_refused(trainer, [build("mixout")], "model_init")

    def test_no_data(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        trainer.train_dataset = None
        assert_refused(trainer, [build("mixout")], "no train_dataset")

    def test_what_is_no_trainer(self) -> None:
        with pytest.raises(UserError, match="a dict is no Trainer"):
            stabilize({}, [])  # type: ignore[type-var]

    @pytest.mark.parametrize("given", [["mixout"], [type(build("mixout"))], "mixout", 3])
    def test_what_are_no_stabilizers(self, given: Any, bert: Encoder, task: Task, folder: Path) -> None:
        assert_refused(make_trainer(bert, task, folder), given, "is no stabilizer: give instances")

    def test_a_single_one_is_taken(self, bert: Encoder, task: Task, folder: Path) -> None:
        stabilize(make_trainer(bert, task, folder), build("reinit"))

    def test_what_are_no_seeds(self, bert: Encoder, task: Task, folder: Path) -> None:
        with pytest.raises(UserError, match="seeds = 3: must be Seeds"):
            stabilize(make_trainer(bert, task, folder), [], seeds=3)  # type: ignore[arg-type]


class TestModels:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (
                lambda: BertForTokenClassification(config_of("bert")),
                "is a BertForTokenClassification: must be a sequence",
            ),
            (
                lambda: DistilBertModel(DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=8)),
                "is a DistilBertModel",
            ),
            (lambda: torch.nn.Linear(2, 2), 'is a "Linear" model: must be one of bert, roberta'),
        ],
    )
    def test_of_another_kind(self, make: Any, words: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        with torch.random.fork_rng(devices=[]):
            trainer.model = make()
        assert_refused(trainer, [build("mixout")], words)

    @pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
    def test_several_labels_a_row(self, kind: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        trainer.model.config.problem_type = kind
        assert_refused(trainer, [build("mixout")], f'problem_type = "{kind}"')

    def test_frozen_layers_that_would_start_anew(self, bert: Encoder, task: Task, folder: Path) -> None:
        model = model_of(bert, task)
        model.bert.encoder.layer[1].requires_grad_(False)
        trainer = make_trainer(bert, task, folder, model=model)
        with pytest.raises(UserError, match="requires_grad = False"):
            stabilize(trainer, [build("reinit")])
        run_trainer(stabilize(trainer, [build("llrd"), build("mixout")]), 1)  # and is fine with others

    def test_as_in_a_study(self, encoders: dict[str, Encoder], task: Task, folder: Path) -> None:
        albert = make_trainer(encoders["albert"], task, folder)
        assert_refused(albert, [build("reinit")], 'reinit cannot work on "albert"')
        regression = make_trainer(encoders["bert"], make_task(kind="regression"), folder)
        assert_refused(regression, [build("mmr")], "it is a regression")
        both = make_trainer(encoders["bert"], task, folder)
        assert_refused(both, [build("bert-adam"), build("debiased-adam")], "exclude each other")
        assert_refused(both, [build("mixout"), build("mixout")], "stands 2 times")


class TestOptimizers:
    @pytest.mark.parametrize("name", ["bert-adam", "pretrained-decay"])
    def test_of_the_users_own(self, name: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
        assert_refused(trainer, [build(name)], "has another optimizer")
        trainer = make_trainer(bert, task, folder, optim="adafactor")
        assert_refused(trainer, [build(name)], "has another optimizer")

    def test_schedules_of_the_users_own(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
        trainer.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(trainer.optimizer)
        assert_refused(trainer, [build("gradual-unfreezing")], "was given one")

    def test_that_keep_values_by_group_cannot_have_rates(self, bert: Encoder, task: Task, folder: Path) -> None:
        class Counting(torch.optim.SGD):
            def step(self, closure: Any = None) -> None:
                for group in self.param_groups:
                    group["count"] = group.get("count", 0) + 1

        for name in ("mixout", "llrd"):
            trainer = make_trainer(bert, task, folder)
            trainer.optimizer = Counting(trainer.model.parameters(), lr=0.1)
            stabilize(trainer, [build(name)])
            if name == "mixout":
                run_trainer(trainer)
                assert trainer.optimizer.param_groups[0]["count"] == 3
                continue
            with quiet(), pytest.raises(UserError, match="keeps count for each group"):
                trainer.train()

    def test_a_field_without_a_place(self, bert: Encoder, task: Task, folder: Path) -> None:
        class Shorter(Stabilizer):
            name = "shorter"

            def recipe(self, recipe: Recipe, layout: Any) -> Recipe:
                return recipe.replace(max_length=16)

        assert_refused(make_trainer(bert, task, folder), [Shorter()], "sets max_length = 16")

    def test_arguments_of_the_user_stay_theirs(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        args = trainer.args
        stabilize(trainer, [build("longer", {"epochs": 5}), build("pretrained-decay")])
        assert (args.max_steps, args.weight_decay) == (3, 0.1)
        assert (trainer.args.max_steps, trainer.args.num_train_epochs, trainer.args.weight_decay) == (-1, 5, 0.0)


class Endless(IterableDataset):
    """Rows without end."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __iter__(self) -> Any:
        while True:
            yield from self.rows


class TestData:
    def test_without_a_length(self, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder, kind=Trainer)
        trainer.train_dataset = Endless(trainer.train_dataset)
        assert_refused(trainer, [build("longer")], "has no length")
        stabilize(trainer, [build("mixout"), build("child-tuning-d")])
        with quiet(), pytest.raises(UserError, match="one epoch of gradients"):
            trainer.train()

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda batch: {**batch, "attention_mask": batch["attention_mask"].flip(1)}, "padded on the left"),
            (lambda batch: {**batch, "attention_mask": batch["attention_mask"][:, None]}, "attention_mask has shape"),
            (lambda batch: {**batch, "labels": torch.eye(2)[batch["labels"]]}, "one class, or one score, per row"),
            (lambda batch: {n: t for n, t in batch.items() if n != "labels"}, "needs input_ids and labels"),
        ],
    )
    def test_batches(self, spoil: Any, words: str, bert: Encoder, task: Task, folder: Path) -> None:
        trainer = make_trainer(bert, task, folder)
        collate = trainer.data_collator
        trainer.data_collator = lambda rows: spoil(dict(collate(rows)))
        stabilize(trainer, [build("r3f")])
        with quiet(), pytest.raises(UserError, match=words):
            trainer.train()

    def test_checkpointing_of_activations(self, bert: Encoder, task: Task, folder: Path) -> None:
        asked = make_trainer(bert, task, folder)
        object.__setattr__(asked.args, "gradient_checkpointing", True)
        enabled = make_trainer(bert, task, folder)
        model = enabled.model  # the method's name depends on the version of transformers
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        for trainer in (asked, enabled):
            for name in ("mixout", "r3f"):
                assert_refused(trainer, [build(name)], f"{name} changes the forward pass")
        stabilize(enabled, [build("llrd")])


class Weighted(InOrder):
    """A Trainer with a loss of its own, as practitioners write it."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        weight = torch.tensor([1.0, 3.0], dtype=outputs.logits.dtype)
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels, weight=weight)
        return (loss, outputs) if return_outputs else loss


class TestLossesOfTheUser:
    """Penalties add to them; a method that applies the loss to further heads cannot know them."""

    def trainers(self, bert: Encoder, task: Task, folder: Path) -> list[Any]:
        def own(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
            return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch

        return [
            make_trainer(bert, task, folder, label_smoothing_factor=0.2),
            make_trainer(bert, task, folder, kind=Weighted),
            make_trainer(bert, task, folder, given={"compute_loss_func": own}),
        ]

    def test_are_refused_to_further_heads(self, bert: Encoder, task: Task, folder: Path) -> None:
        for trainer in self.trainers(bert, task, folder):
            stabilize(trainer, [build("mh-loss")])
            with quiet(), pytest.raises(UserError, match="a loss of its own"):
                trainer.train()

    def test_keep_their_penalties(self, bert: Encoder, task: Task, folder: Path) -> None:
        class Hundred(Stabilizer):
            name = "hundred"

            def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Any:
                return 100.0 + 0 * forward.logits.sum()

        losses = []
        for methods in ([], [Hundred()]):
            for trainer in self.trainers(bert, task, folder):
                run_trainer(stabilize(trainer, methods), 1)
                losses.append(trainer.state.log_history[-1]["train_loss"])
        assert [b - a for a, b in zip(losses[:3], losses[3:], strict=True)] == pytest.approx([100.0] * 3)

    def test_weigh_a_penalty_by_the_rows_of_a_micro_batch(self, bert: Encoder, task: Task, folder: Path) -> None:
        class First(Stabilizer):
            name = "first"

            def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Any:
                return 100.0 * (batch.first_row == 0) + 0 * forward.logits.sum()

        def own(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
            return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch

        losses = []
        for methods in ([], [First()]):
            trainer = make_trainer(
                bert, task, folder, given={"compute_loss_func": own}, per_device_train_batch_size=2,
                gradient_accumulation_steps=4,
            )  # fmt: skip
            run_trainer(stabilize(trainer, methods), 1)
            losses.append(trainer.state.log_history[-1]["train_loss"])
        assert losses[1] - losses[0] == pytest.approx(25.0)


class TestInstallation:
    def test_without_accelerate(self) -> None:
        code = (
            "import importlib.util as u; find = u.find_spec\n"
            "u.find_spec = lambda name, *a: None if name == 'accelerate' else find(name, *a)\n"
            "import stabilitybench.integrations.trainer"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        last = done.stderr.strip().splitlines()[-1]
        assert last == (
            'ImportError: the Trainer of transformers needs accelerate: pip install "stabilitybench[trainer]"'
        )

    def test_the_package_itself_needs_neither(self) -> None:
        code = (
            "import sys, stabilitybench, stabilitybench.integrations\n"
            "print({'accelerate', 'transformers', 'torch'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


def test_arguments_say_the_recipe(tmp_path: Path) -> None:
    from stabilitybench.integrations.arguments import read_recipe

    args = arguments(
        tmp_path, max_steps=-1, num_train_epochs=4, warmup_steps=5, lr_scheduler_type="constant_with_warmup",
        per_device_train_batch_size=4, gradient_accumulation_steps=2, adam_beta1=0.8, bf16=True, max_grad_norm=0.0,
    )  # fmt: skip
    assert read_recipe(args, total_steps=20) == Recipe(
        learning_rate=1e-3, batch_size=8, micro_batch=4, epochs=4, warmup=0.25, schedule="constant", weight_decay=0.1,
        betas=(0.8, 0.999), clip=0.0, precision="bf16",
    )  # fmt: skip
