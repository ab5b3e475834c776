"""Stabilizers for the Hugging Face `Trainer` in one line, ``stabilize(trainer, [ReInit(layers=3), Mixout(p=0.1)])``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

if find_spec("accelerate") is None:
    raise ImportError('the Trainer of transformers needs accelerate: pip install "stabilitybench[trainer]"')

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from stabilitybench.errors import UserError
from stabilitybench.finetuning.tensors import Params
from stabilitybench.integrations.arguments import changed_arguments, read_recipe, with_stabilizers
from stabilitybench.integrations.compatibility import (
    check_composition,
    check_trainer,
    default_seed,
    facts_of,
    layout_of,
)
from stabilitybench.integrations.forward_recorder import Noise, Watch, batch_of, full_precision, kept
from stabilitybench.integrations.trainer_session import HookSession, Part
from stabilitybench.optim.schedule import multiplier
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Composition, Context, Stabilizer, compose
from stabilitybench.storage.foreign import read_json

T = TypeVar("T", bound=Trainer)
#: Beside a checkpoint of the Trainer: which methods, and from which weights they started.
RECORD = "stabilitybench.json"


def stabilize(trainer: T, stabilizers: Iterable[Stabilizer] | Stabilizer, *, seeds: Seeds | None = None) -> T:
    """Let `trainer` train with `stabilizers`; return the same Trainer.

    The model of the Trainer is a sequence classifier of a BERT-like family, as it was loaded: its weights are what the
    methods take for pretrained, and methods that draw tensors anew do so now.  The Trainer then trains as ever - its
    data, loss, clipping, schedule, evaluation and saving are its own - and each method makes the same update there as
    in `finetune`.  Everything evaluated or saved is a plain classifier.

    With gradient accumulation the model's loss is averaged over the micro-batches, and not added up.

    Parameters
    ----------
    trainer : Trainer
        A Trainer that has not begun to train, on one device.
    stabilizers : Stabilizer or iterable of Stabilizer
        All methods at once; they act in their own order.
    seeds : Seeds or None, default None
        What the methods draw from; None gives all streams the Trainer's own seed.  The order of batches and the dropout
        are the Trainer's, from the same random numbers as without stabilizers.

    Returns
    -------
    Trainer
        The same object.

    Raises
    ------
    UserError
        For what cannot work: methods that train in stages or train several networks, several devices, fp16,
        torch.compile, a model of another kind, a Trainer that has begun to train or is stabilized already.

    Examples
    --------
    >>> import tempfile
    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> from stabilitybench.stabilizers import build
    >>> size = {"vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    >>> model = BertForSequenceClassification(BertConfig(num_hidden_layers=2, **size))
    >>> rows = [{"input_ids": [1, 2 + k % 7], "labels": k % 2} for k in range(16)]
    >>> args = TrainingArguments(
    ...     tempfile.mkdtemp(), max_steps=2, report_to="none", use_cpu=True, disable_tqdm=True, save_strategy="no"
    ... )
    >>> trainer = stabilize(Trainer(model, args, train_dataset=rows), [build("reinit"), build("mixout")])
    >>> trainer.train().global_step  # doctest: +ELLIPSIS
    {'train_runtime'...}
    2
    """
    if isinstance(trainer, Stabilized):
        raise UserError("this Trainer is stabilized already: give all its stabilizers at once")
    if not isinstance(trainer, Trainer):
        raise UserError(f"a {type(trainer).__name__} is no Trainer of transformers")
    methods = _methods(stabilizers)
    if seeds is not None and not isinstance(seeds, Seeds):
        raise UserError(f"seeds = {seeds!r}: must be Seeds, such as Seeds(init=1, dropout=2)")
    check_trainer(trainer)
    model: Any = trainer.model
    layout, facts = layout_of(model), facts_of(trainer)
    composition = Composition(compose(methods, layout))
    given = read_recipe(trainer.args, _steps(trainer, trainer.args))
    check_composition(composition, trainer, given, layout, facts)
    recipe, changes = with_stabilizers(given, trainer.args, composition, layout, facts)
    args, optimizer = changed_arguments(trainer, changes)
    seed = default_seed(trainer.args)
    ctx = Context(
        recipe=recipe,
        layout=layout,
        task=facts,
        reference={n: p.detach().clone() for n, p in model.named_parameters() if layout.module_group(n) != "head"},
        seeds=seeds or Seeds(init=seed, order=seed, dropout=seed, prepare=seed),
        total_steps=_steps(trainer, args),
    )
    session = HookSession(model, composition, ctx, partial(_training_features, trainer))
    # From here on nothing can fail.
    trainer.args, trainer.optimizer_cls_and_kwargs = args, optimizer or trainer.optimizer_cls_and_kwargs
    # The classifiers' losses are means and ignore the number of items that a Trainer tells them; added up over
    # micro-batches they would make the gradient as many times too large.
    trainer.model_accepts_loss_kwargs = False
    trainer.add_callback(_Steps(session, trainer))
    own = type(trainer)
    trainer.__class__ = type(f"Stabilized{own.__name__}", (Stabilized, own), {})
    trainer._session, trainer._slanted = session, changes.get("schedule") == "slanted"  # type: ignore[attr-defined]
    return trainer


class Stabilized(Trainer):
    """What a stabilized Trainer does otherwise; `stabilize` puts it in front of the Trainer's own class."""

    _session: HookSession
    _slanted: bool
    _trained: bool = False

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train once, with the stabilizers; the model is a plain classifier again afterwards."""
        if self._trained:
            raise UserError("a stabilized Trainer trains once: make a new one from a freshly loaded model")
        if resume_from_checkpoint:
            self._check_checkpoint(resume_from_checkpoint)
        self._trained = True
        self._session.enter()
        try:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self._session.leave()

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the slanted triangle where a stabilizer asks for it, which transformers does not have."""
        if not self._slanted or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        rising = (self.args.get_warmup_steps(num_training_steps) + 0.5) / num_training_steps

        def slanted(step: int) -> float:
            return multiplier("slanted", step, num_training_steps, rising)

        optimizer = self.optimizer if optimizer is None else optimizer
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, slanted)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Accumulate the gradient of a micro-batch; after the last, let the methods see the whole."""
        session, complete = self._session, self.accelerator.sync_gradients
        session.step = self.state.global_step
        run = partial(super().training_step, model, inputs, num_items_in_batch)
        if session.composition.changing("gradient"):
            first_row, noise = session.first_row, Noise.now(self.args.device)
            loss: Tensor = run()
            session.parts.append(Part(run, first_row, noise, loss.detach()))
            if complete:
                loss = loss + session.whole_gradient()
                session.parts.clear()
        else:
            loss = run()
        if complete:
            session.first_row = 0
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None, **kwargs: Any
    ) -> Any:
        """Compute the Trainer's own loss with the weights that the methods put in place, and add their penalties."""
        session = self._session
        own: Any = partial(super().compute_loss, model, num_items_in_batch=num_items_in_batch, **kwargs)
        if not (session.training and model.training):
            return own(inputs, return_outputs=return_outputs)
        weights = session.forward_weights()
        with session.reading(weights):
            if not session.composition.changing("penalty"):
                return own(inputs, return_outputs=return_outputs)
            question, labels = _apart(self, inputs)
            batch = batch_of(question, labels, session.base.task.kind, session.first_row)
            noise = Noise.now(self.args.device)
            with session.watch.looking() as seen:
                loss, outputs = own(inputs, return_outputs=True)
            penalty = session.penalties(batch, weights, seen, noise, partial(model, **question))
            loss = loss + self._share(len(batch), num_items_in_batch) * penalty
        session.first_row += len(batch)
        return (loss, outputs) if return_outputs else loss

    def _share(self, rows: int, items: Any) -> Any:
        """Return the weight that the loss of a micro-batch already has when `compute_loss` returns it."""
        scaled = getattr(self, "loss_is_scaled_for_ga", None)
        if not (self.compute_loss_func is not None if scaled is None else scaled):
            return 1.0  # the Trainer divides afterwards
        return 1 / self.current_gradient_accumulation_steps if items is None else rows / items

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the weights that the methods say."""
        with self._session.evaluated():
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights that are evaluated, as a plain classifier."""
        with self._session.evaluated():
            super().save_model(output_dir, _internal_call)
        if self._session.training and not self._session.keeps_state:
            folder = Path(str(self.args.output_dir if output_dir is None else output_dir))
            (folder / RECORD).write_text(json.dumps(self._record(), indent=2), "utf-8")

    def _load_best_model(self) -> None:
        self._session.leave()  # checkpoints hold plain classifiers
        super()._load_best_model()
        # Some transformers 5 save LayerNorm.gamma, which from_pretrained knows and the Trainer passes over.
        model: Any = self.model
        model.load_state_dict(type(model).from_pretrained(self.state.best_model_checkpoint).state_dict())

    def _record(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with to be continued here."""
        session = self._session
        return {
            "stabilizers": [s.describe() for s in session.composition.stabilizers],
            "seeds": asdict(session.base.seeds),
            "start": session.start_digest,
        }

    def _check_checkpoint(self, checkpoint: str | bool) -> None:
        """Refuse to go on from a checkpoint that lacks what the methods need."""
        session = self._session
        if session.keeps_state:
            raise UserError(
                f"{session.keeps_state} keeps values of its own that a checkpoint of the Trainer does not hold: train "
                "it in one go"
            )
        folder = get_last_checkpoint(self.args.output_dir) if checkpoint is True else checkpoint  # type: ignore[no-untyped-call]
        if folder is None:
            return  # the Trainer says so
        try:
            found = read_json(Path(str(folder)) / RECORD)
        except (OSError, ValueError):
            raise UserError(f"{folder} has no readable {RECORD}: it was not saved by a stabilized Trainer") from None
        for name, expected in self._record().items():
            if not isinstance(found, dict) or found.get(name) != expected:
                what = "starts from other weights (load the model in the same way, its new head from the same seed)"
                raise UserError(
                    f"{folder} {what if name == 'start' else f'was trained with other {name}'}: it cannot be continued"
                )


class _Steps(TrainerCallback):
    """What has to happen between the Trainer's clipping, its optimizer and its schedule."""

    def __init__(self, session: HookSession, trainer: Any) -> None:
        self.session, self.trainer = session, trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.session.begin(state.max_steps, partial(_epoch, self.trainer, self.session))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.session.before_update(self.trainer.optimizer)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.session.after_update(self.trainer.optimizer)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.session.training:
            self.session.step = state.global_step
            measures = self.session.measures()
            if measures:
                self.trainer.log(measures)


def _methods(stabilizers: Iterable[Stabilizer] | Stabilizer) -> tuple[Stabilizer, ...]:
    given = tuple(stabilizers) if isinstance(stabilizers, Iterable) else (stabilizers,)
    for one in given:
        if not isinstance(one, Stabilizer):
            raise UserError(f"{one!r} is no stabilizer: give instances, such as [ReInit(layers=3), Mixout(p=0.1)]")
    return given


def _steps(trainer: Trainer, args: TrainingArguments) -> int:
    """Return the number of optimizer steps that the Trainer takes by `args`."""
    if args.max_steps > 0:
        return int(args.max_steps)
    batches = math.ceil(len(trainer.get_train_dataloader()) / args.gradient_accumulation_steps)
    return max(1, math.ceil(args.num_train_epochs * max(1, batches)))


def _epoch(trainer: Any, session: HookSession) -> Iterator[None]:
    """Run backward on each batch of the first epoch, and leave the gradients in the model."""
    if not hasattr(trainer.train_dataset, "__len__"):
        raise UserError("a stabilizer looks at one epoch of gradients, but the training data has no length")
    batches = iter(trainer.get_train_dataloader())
    while True:
        parts, items = trainer.get_batch_samples(batches, trainer.args.gradient_accumulation_steps, trainer.args.device)
        if not parts:
            return
        trainer.current_gradient_accumulation_steps = len(parts)
        session.first_row = 0
        for inputs in parts:
            super(Stabilized, trainer).training_step(trainer.model_wrapped, inputs, items)
        session.first_row = 0
        yield


def _training_features(trainer: Any, session: HookSession, params: Params) -> tuple[Tensor, Tensor]:
    """Return what the last linear layer reads of every training row, without noise, and the labels, on the CPU."""
    model, mode = trainer.model, trainer.model.training
    watch = Watch(model, session.base.layout)
    rows, labels = [], []
    try:
        model.eval()
        with kept(trainer.args.device), torch.no_grad(), session.reading(params):
            for inputs in trainer.get_test_dataloader(trainer.train_dataset):
                inputs = trainer._prepare_inputs(inputs)
                question, answers = _apart(trainer, inputs)
                batch = batch_of(question, answers, session.base.task.kind, 0)
                with watch.looking() as seen:
                    model(**question)
                assert seen.features is not None
                rows.append(full_precision(seen.features).cpu())
                labels.append(batch.labels.cpu())
    finally:
        watch.close()
        model.train(mode)
    return torch.cat(rows), torch.cat(labels)


def _apart(trainer: Any, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor | None]:
    """Return what the model is asked, and the labels."""
    question = {name: value for name, value in inputs.items() if name not in trainer.label_names}
    return question, inputs.get(trainer.label_names[0])
