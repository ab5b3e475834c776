"""TrainingArguments and recipes: reading one as the other, and writing back what stabilizers changed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from stabilitybench.errors import UserError
from stabilitybench.integrations.optimizer import SwitchableAdamW
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, TaskFacts

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from stabilitybench.encoders import Layout

#: What a recipe calls the schedules of transformers; it knows no other.
SCHEDULES = {"linear": "linear", "constant": "constant", "constant_with_warmup": "constant"}
#: Fields of a recipe that stand in TrainingArguments under another name.
ARGUMENTS = {
    "learning_rate": "learning_rate", "weight_decay": "weight_decay", "epsilon": "adam_epsilon",
    "clip": "max_grad_norm", "warmup": "warmup_steps", "epochs": "num_train_epochs",
}  # fmt: skip
#: Fields that only an optimizer made by the Trainer itself obeys.
OF_OPTIMIZER = ("learning_rate", "weight_decay", "epsilon", "betas", "bias_correction", "decay_order")
#: Fields that the bridge acts on by itself.
OWN = ("dropout", "dropout_off", "clip_scope", "bias_correction", "decay_order")
OptimizerClass = tuple[type[SwitchableAdamW], dict[str, Any]]


def read_recipe(args: TrainingArguments, total_steps: int) -> Recipe:
    """Return what the arguments say as a recipe; an unknown schedule is called linear.

    Parameters
    ----------
    args : TrainingArguments
        The Trainer's arguments.
    total_steps : int
        Optimizer steps of the training, of which `warmup_steps` becomes a fraction.

    Raises
    ------
    UserError
        Where a value is one that a recipe cannot have; the argument is named as TrainingArguments call it.
    """
    accumulated = args.gradient_accumulation_steps
    warmup = args.warmup_steps / total_steps if args.warmup_steps >= 1 else args.warmup_steps
    try:
        return Recipe(
            learning_rate=float(args.learning_rate),
            batch_size=args.per_device_train_batch_size * accumulated,
            micro_batch=args.per_device_train_batch_size if accumulated > 1 else None,
            epochs=float(args.num_train_epochs),
            steps=args.max_steps if args.max_steps > 0 else None,
            warmup=min(warmup, 1 - 1e-9),
            schedule=SCHEDULES.get(schedule_of(args), "linear"),  # type: ignore[arg-type]  # pydantic checks
            weight_decay=float(args.weight_decay),
            betas=(args.adam_beta1, args.adam_beta2),
            epsilon=float(args.adam_epsilon),
            clip=float(args.max_grad_norm or 0.0),
            precision="bf16" if args.bf16 else "fp32",
        )
    except UserError as error:
        _, field, reason = error.args
        name = {**ARGUMENTS, "betas": "adam_beta1, adam_beta2"}.get(field, field)
        raise UserError(f"TrainingArguments.{name}{reason}") from None


def schedule_of(args: TrainingArguments) -> str:
    """Return the name of the schedule, as transformers calls it.

    Parameters
    ----------
    args : TrainingArguments
        The Trainer's arguments.
    """
    return str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))


def with_stabilizers(
    recipe: Recipe, args: TrainingArguments, composition: Composition, layout: Layout, task: TaskFacts
) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe as the stabilizers change it, and the fields they changed.

    Parameters
    ----------
    recipe : Recipe
        The recipe that the arguments stand for.
    args : TrainingArguments
        Those arguments, for a schedule that recipes do not know.
    composition : Composition
        The stabilizers.
    layout : Layout
        The architecture map of the model.
    task : TaskFacts
        What stabilizers may know of the data.

    Returns
    -------
    recipe : Recipe
        The changed one.
    fields : dict of str to object
        Fields whose value the stabilizers changed, with the new one.
    """
    changed = composition.recipe(recipe, layout, task)
    fields = {name: value for name, value in changed if value != getattr(recipe, name)}
    if schedule_of(args) not in SCHEDULES:
        # A schedule that recipes do not know stays, unless a stabilizer insists on one whatever it finds.
        other = composition.recipe(recipe.replace(schedule="constant"), layout, task)
        fields.pop("schedule", None)
        if other.schedule == changed.schedule:
            fields["schedule"] = changed.schedule
    return changed, fields


def changed_arguments(trainer: Any, changes: dict[str, Any]) -> tuple[TrainingArguments, OptimizerClass | None]:
    """Return the arguments, and the optimizer's class if need be, with which the Trainer trains by the changed recipe.

    Parameters
    ----------
    trainer : Trainer
        The Trainer, whose own arguments stay as they are.
    changes : dict of str to object
        Fields of the recipe that stabilizers changed, see `with_stabilizers`.

    Returns
    -------
    args : TrainingArguments
        A copy with the changes: what the Trainer was made with may serve another one.
    optimizer : tuple of type and dict, or None
        Class and keyword arguments of the optimizer; None where the Trainer's own does.

    Raises
    ------
    UserError
        For a change that a Trainer has no place for, or that its own optimizer or schedule would not obey.
    """
    args: TrainingArguments = copy.copy(trainer.args)
    own_adam = trainer.optimizer is None and trainer.optimizer_cls_and_kwargs is None
    own_adam = own_adam and str(getattr(args.optim, "value", args.optim)) in ("adamw_torch", "adamw_torch_fused")
    wanted = [name for name in changes if name in OF_OPTIMIZER]
    if wanted and not own_adam:
        raise UserError(
            f"a stabilizer sets {', '.join(wanted)} of AdamW, but this Trainer has another optimizer: pass none to it "
            'and leave optim = "adamw_torch"'
        )
    if "schedule" in changes and trainer.lr_scheduler is not None:
        raise UserError(
            f"a stabilizer sets the schedule {changes['schedule']}, but this Trainer was given one: pass none to it"
        )
    if "epochs" in changes and not hasattr(trainer.train_dataset, "__len__"):
        raise UserError(
            f"a stabilizer trains for {changes['epochs']:g} epochs, but the training data of this Trainer has no length"
        )
    for name, value in changes.items():
        if name in ARGUMENTS:
            setattr(args, ARGUMENTS[name], value)
        elif name == "betas":
            args.adam_beta1, args.adam_beta2 = value
        elif name == "steps":
            args.max_steps = -1 if value is None else value
        elif name == "schedule":
            args.lr_scheduler_type = "constant_with_warmup" if value == "constant" else "linear"
        elif name not in OWN:
            raise UserError(f"a stabilizer sets {name} = {value} of the recipe, for which a Trainer has no place")
    if changes.get("clip_scope") == "tensor":
        args.max_grad_norm = 0.0  # the bridge clips each tensor alone
    if "bias_correction" not in changes and "decay_order" not in changes:
        return args, None
    return args, (
        SwitchableAdamW,
        {
            "lr": args.learning_rate, "betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon,
            "bias_correction": changes.get("bias_correction", True),
            "decay_order": changes.get("decay_order", "before"),
        },
    )  # fmt: skip
