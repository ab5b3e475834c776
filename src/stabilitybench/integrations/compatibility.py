"""What a Trainer must be for stabilizers to work in it, and what they are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, Trainer

from stabilitybench.encoders.layout import ARCHITECTURES, Layout
from stabilitybench.errors import UserError
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, TaskFacts


@dataclass(frozen=True)
class TrainerFacts(TaskFacts):
    """What a stabilizer may know of a Trainer's data.

    Attributes
    ----------
    plain : bool, default True
        Whether the Trainer's loss is the mean cross-entropy, or squared error, of its model.
    """

    plain: bool = True

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of further logits, as the model itself computes it.

        Parameters
        ----------
        logits : torch.Tensor, shape (rows, outputs)
            What a further head gives.
        labels : torch.Tensor, shape (rows,)
            One class, or one score, per row.

        Raises
        ------
        UserError
            Where the Trainer has a loss of its own.
        """
        if not self.plain:
            raise UserError(
                "this Trainer has a loss of its own (label smoothing, compute_loss_func or compute_loss), which a "
                "stabilizer cannot apply to further heads: leave the loss to the model"
            )
        return super().loss(logits, labels)


def layout_of(model: Any) -> Layout:
    """Return the architecture map of a sequence classifier of transformers; refuse anything else.

    Parameters
    ----------
    model : torch.nn.Module
        The model of a Trainer.

    Raises
    ------
    UserError
        For a model of an unknown family, one that is no sequence classifier, or one without values in its tensors.
    """
    config = getattr(model, "config", None)
    family = getattr(config, "model_type", None)
    known = ", ".join(ARCHITECTURES)
    if config is None or family not in ARCHITECTURES:
        raise UserError(
            f'the model of this Trainer is a "{family or type(model).__name__}" model: must be one of {known}'
        )
    classifiers: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    classifier = classifiers.get(type(config), None)
    if classifier is None or not isinstance(model, classifier):
        raise UserError(
            f"the model of this Trainer is a {type(model).__name__}: must be a sequence classifier of {known}, as "
            "AutoModelForSequenceClassification gives it"
        )
    parts = ARCHITECTURES[family]
    layout = Layout(
        family,
        getattr(config, parts.depth_key),
        getattr(config, "initializer_range", 0.02),
        int(config.pad_token_id) + 1 if parts.positions_after_padding else 0,
    )
    for name, tensor in model.named_parameters():
        layout.module_group(name)
        if tensor.device.type == "meta":
            raise UserError(f'tensor "{name}" of the model has no values: load the weights first')
    return layout


def facts_of(trainer: Any) -> TrainerFacts:
    """Return what stabilizers may know of the Trainer's data.

    Parameters
    ----------
    trainer : Trainer
        The Trainer, with a model that `layout_of` accepts.

    Raises
    ------
    UserError
        Where a row has several labels, or several scores.
    """
    config = trainer.model.config
    outputs = int(config.num_labels)
    kind = config.problem_type or ("regression" if outputs == 1 else "single_label_classification")
    if kind == "multi_label_classification" or (kind == "regression" and outputs > 1):
        raise UserError(
            f'the model has problem_type = "{kind}" and {outputs} labels: a stabilizer needs one class, or one score, '
            "for each row"
        )
    plain = type(trainer).compute_loss is Trainer.compute_loss and trainer.compute_loss_func is None
    data = trainer.train_dataset
    return TrainerFacts(
        name="train_dataset",
        kind="regression" if kind == "regression" else "classification",
        outputs=outputs,
        n_train=len(data) if hasattr(data, "__len__") else 0,
        plain=plain and trainer.label_smoother is None,
    )


def check_trainer(trainer: Any) -> None:
    """Refuse what the bridge cannot serve: several devices, half-precision scaling, and a training under way.

    Parameters
    ----------
    trainer : Trainer
        The Trainer.

    Raises
    ------
    UserError
        For the first of them that is found, with what to do instead.
    """
    args = trainer.args
    if trainer.state.global_step or trainer.is_in_train:
        raise UserError("this Trainer has begun to train: stabilize it before")
    if trainer.train_dataset is None:
        raise UserError("this Trainer has no train_dataset: there is nothing to stabilize")
    if trainer.model_init is not None:
        raise UserError("this Trainer makes its model when it trains (model_init): pass the model itself")
    if args.n_gpu > 1:
        raise UserError(f"this Trainer would use {args.n_gpu} devices: let it see one (CUDA_VISIBLE_DEVICES=0)")
    if args.world_size > 1 or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled or trainer.is_model_parallel:
        raise UserError("this Trainer spreads the training over devices or processes: run it on one device")
    if args.device.type not in ("cpu", "cuda"):
        raise UserError(f'this Trainer runs on "{args.device.type}": must be cpu or cuda')
    if args.fp16:
        raise UserError("fp16 = True scales the loss, and with it the gradients that stabilizers read: use bf16")
    if args.torch_compile:
        raise UserError("torch_compile = True fixes the weights that the model reads: leave it off")
    if args.auto_find_batch_size:
        raise UserError("auto_find_batch_size = True may start over with trained weights: set the batch size")
    if getattr(trainer.model, "is_quantized", False):
        raise UserError("the model of this Trainer is quantized: load it with floating-point weights")


def check_composition(composition: Composition, trainer: Any, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
    """Refuse methods for which a Trainer has no place.

    Parameters
    ----------
    composition : Composition
        The stabilizers.
    trainer : Trainer
        The Trainer.
    recipe : Recipe
        What its arguments stand for.
    layout : Layout
        The architecture map of its model.
    task : TaskFacts
        What stabilizers may know of its data.

    Raises
    ------
    UserError
        For a method that trains in stages or trains several networks, and for one that changes the forward pass where
        gradient checkpointing runs it again.
    """
    for stabilizer in composition.changing("phases"):
        if stabilizer.phases(recipe, layout, task):
            raise UserError(
                f"{stabilizer.name} trains the encoder in stages before fine-tuning, and a Trainer knows one stage: "
                "run it in a study, or run the stage yourself and give its encoder to the Trainer"
            )
    for stabilizer in composition.changing("members"):
        raise UserError(
            f"{stabilizer.name} trains several networks side by side, and a Trainer trains one: run it in a study"
        )
    if _recomputes(trainer):
        for stabilizer in (*composition.changing("penalty"), *composition.changing("forward_weights")):
            raise UserError(
                f"{stabilizer.name} changes the forward pass, which gradient_checkpointing runs a second time without "
                "it: leave gradient_checkpointing off"
            )


def _recomputes(trainer: Any) -> bool:
    asked = getattr(trainer.args, "activation_checkpointing", None) or trainer.args.gradient_checkpointing
    return bool(asked) or any(getattr(part, "gradient_checkpointing", False) for part in trainer.model.modules())


def default_seed(args: Any) -> int:
    """Return the Trainer's seed.

    Parameters
    ----------
    args : TrainingArguments
        The Trainer's arguments.

    Raises
    ------
    UserError
        Where the seed is negative.
    """
    if args.seed < 0:
        raise UserError(f"TrainingArguments: seed = {args.seed}: must be at least 0")
    return int(args.seed)
