"""Pretrain a small BERT or RoBERTa on the pocket language, so that it can be shipped with its recipe.

BERT shapes learn masked words and next sentence (Devlin et al., 2019), which trains the pooler and pair features;
RoBERTa shapes learn masked words alone on the same passages (Liu et al., 2019).  Everything is drawn from the
seed of the specification: the same code, seed and libraries give the same bytes.  Dropout is off in pretraining;
the written configuration carries the usual 0.1 for fine-tuning.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stabilitybench.encoders.masking import IGNORED, hide_words
from stabilitybench.encoders.specification import PretrainingSpec, build_model
from stabilitybench.errors import EnvironmentFailure
from stabilitybench.language.corpus import Passage, passage
from stabilitybench.language.sampler import Dice
from stabilitybench.language.tokenizer import (
    SPECIAL,
    Style,
    build_tokenizer,
    special_id,
    vocabulary,
)
from stabilitybench.threads import one_thread

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Passages are drawn for this many batches at a time and sorted by length, so that little is spent on padding.
_POOL = 16
_HELD_OUT = 2000


@dataclass(frozen=True)
class PretrainingReport:
    """What came out of a pretraining.

    Attributes
    ----------
    folder : Path
        Where the encoder was written.
    curve : tuple of (int, float)
        Steps, each with the mean loss since the entry before.
    held_out_loss : float
        Masked-word loss on passages not trained on, in nats per masked word.
    next_sentence_accuracy : float or None
        Fraction right, on the same passages; None for RoBERTa shapes, which are not trained on it.
    parameters : int
        Number of weights.
    seconds : float
        Wall-clock time.
    """

    folder: Path
    curve: tuple[tuple[int, float], ...]
    held_out_loss: float
    next_sentence_accuracy: float | None
    parameters: int
    seconds: float


@dataclass(frozen=True, eq=False)
class _Batch:
    """Token ids (n, length), token types, padding mask, targets (`IGNORED` where none), next-sentence labels."""

    ids: torch.Tensor
    types: torch.Tensor
    attention: torch.Tensor
    targets: torch.Tensor
    follows: torch.Tensor


def pretrain(
    spec: PretrainingSpec,
    folder: Path,
    *,
    progress: Callable[[int, float], None] | None = None,
    steps: int | None = None,
) -> PretrainingReport:
    """Pretrain an encoder and write it to a folder, which appears only when it is complete.

    The folder holds ``config.json``, ``model.safetensors``, the tokenizer and ``card.json`` (specification, loss curve,
    held-out scores, versions) and is read by ``AutoModel.from_pretrained`` and ``AutoTokenizer.from_pretrained``. No
    global random state is used.

    Parameters
    ----------
    spec : PretrainingSpec
        What is trained, and how.
    folder : Path
        Where to; an older folder of this name is replaced.
    progress : callable, optional
        Called as ``progress(step, loss)`` at every entry of the curve.
    steps : int, optional
        Stop early on the same schedule, which replays the beginning of a longer training.

    Returns
    -------
    PretrainingReport
        Loss curve and held-out scores.

    Raises
    ------
    EnvironmentFailure
        If the folder cannot be written.
    """
    with one_thread():
        start = time.perf_counter()
        model = build_model(spec)
        curve = _train(model, spec, spec.steps if steps is None else min(steps, spec.steps), progress)
        loss, accuracy = _held_out(model, spec)
    report = PretrainingReport(
        folder=Path(folder),
        curve=tuple(curve),
        held_out_loss=loss,
        next_sentence_accuracy=accuracy,
        parameters=sum(p.numel() for p in model.parameters()),
        seconds=time.perf_counter() - start,
    )
    _write(model, spec, report)
    return report


def _train(
    model: PreTrainedModel, spec: PretrainingSpec, steps: int, progress: Callable[[int, float], None] | None
) -> list[tuple[int, float]]:
    import torch

    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, fused=True)
    warm = max(1, round(spec.warmup * spec.steps))
    batches = _batches(spec, np.random.default_rng([spec.seed, 0]))
    curve: list[tuple[int, float]] = []
    recent: list[float] = []
    model.train(False)  # no dropout
    for step in range(1, steps + 1):
        rate = spec.learning_rate * min(step / warm, (spec.steps - step) / max(1, spec.steps - warm))
        for group in optimizer.param_groups:
            group["lr"] = rate
        masked, next_sentence, _ = _losses(model, next(batches))
        loss = masked if next_sentence is None else masked + next_sentence
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip)
        optimizer.step()
        recent.append(loss.item())
        if step % (10 if step <= 50 else 100) == 0 or step == steps:
            curve.append((step, sum(recent) / len(recent)))
            recent.clear()
            if progress is not None:
                progress(*curve[-1])
    return curve


def _losses(model: Any, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor | None, float]:
    """Return masked-word loss, next-sentence loss and accuracy (None and nan where they do not apply)."""
    from torch.nn.functional import cross_entropy

    chosen = batch.targets != IGNORED
    if model.config.model_type == "roberta":
        hidden = model.roberta(batch.ids, batch.attention).last_hidden_state
        return cross_entropy(model.lm_head(hidden[chosen]), batch.targets[chosen]), None, float("nan")
    hidden, pooled = model.bert(batch.ids, batch.attention, batch.types)[:2]
    masked = cross_entropy(model.cls.predictions(hidden[chosen]), batch.targets[chosen])
    paired = batch.follows != IGNORED
    if not paired.any():
        return masked, None, float("nan")
    scores, labels = model.cls.seq_relationship(pooled[paired]), batch.follows[paired]
    return masked, cross_entropy(scores, labels), (scores.argmax(-1) == labels).double().mean().item()


def _held_out(model: PreTrainedModel, spec: PretrainingSpec) -> tuple[float, float | None]:
    import torch

    batches = _batches(spec, np.random.default_rng([spec.seed, 1]))
    words, loss, pairs, right = 0, 0.0, 0, 0.0
    with torch.no_grad():
        for _ in range(_HELD_OUT // spec.batch):
            batch = next(batches)
            masked, _, accuracy = _losses(model, batch)
            count = int((batch.targets != IGNORED).sum())
            words, loss = words + count, loss + masked.item() * count
            if not np.isnan(accuracy):
                count = int((batch.follows != IGNORED).sum())
                pairs, right = pairs + count, right + accuracy * count
    return loss / words, right / pairs if pairs else None


def _batches(spec: PretrainingSpec, rng: np.random.Generator) -> Iterator[_Batch]:
    """Yield batches of passages of similar length, in random order, masked by `rng`."""
    dice = Dice(rng)
    ids = vocabulary(spec.architecture)
    while True:
        pool = [_encode(passage(dice), ids, spec.architecture) for _ in range(_POOL * spec.batch)]
        pool.sort(key=lambda row: len(row[0]))
        for i in rng.permutation(_POOL).tolist():
            yield _collate(pool[i * spec.batch : (i + 1) * spec.batch], spec, len(ids), rng)


def _encode(item: Passage, ids: dict[str, int], style: Style) -> tuple[list[int], int, int]:
    """Return token ids as the tokenizer writes them, the length of the first segment, and the label."""
    cls, sep = special_id(style, "cls"), special_id(style, "sep")
    row = [cls, *[ids[word] for word in item.first.split()], sep]
    first = len(row)
    if item.second is None:
        return row, first, IGNORED
    if style == "roberta":
        row.append(sep)
    row += [ids[word] for word in item.second.split()]
    row.append(sep)
    return row, first, int(bool(item.follows))


def _collate(
    rows: list[tuple[list[int], int, int]], spec: PretrainingSpec, size: int, rng: np.random.Generator
) -> _Batch:
    import torch

    longest = max(len(row) for row, _, _ in rows)
    pad = special_id(spec.architecture, "pad")
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    types = np.zeros_like(ids)
    for i, (row, first, _) in enumerate(rows):
        ids[i, : len(row)] = row
        types[i, first : len(row)] = 1
    first_word = len(SPECIAL[spec.architecture])
    visible, targets = hide_words(
        ids, ids >= first_word, special_id(spec.architecture, "mask"), (first_word, size), spec.mask, rng
    )
    return _Batch(
        ids=torch.from_numpy(visible),
        types=torch.from_numpy(types),
        attention=torch.from_numpy((ids != pad).astype(np.int64)),
        targets=torch.from_numpy(targets),
        follows=torch.tensor([label for _, _, label in rows]),
    )


def _write(model: PreTrainedModel, spec: PretrainingSpec, report: PretrainingReport) -> None:
    import torch
    import transformers

    card = {
        "name": spec.name,
        "learning_rate": spec.finetuning_rate,
        "spec": asdict(spec),
        "parameters": report.parameters,
        "held_out_loss": report.held_out_loss,
        "next_sentence_accuracy": report.next_sentence_accuracy,
        "seconds": round(report.seconds, 1),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "curve": [[step, round(loss, 6)] for step, loss in report.curve],
    }
    folder = report.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            fresh = Path(name) / "new"
            model.save_pretrained(fresh)
            build_tokenizer(spec.architecture).save_pretrained(fresh)
            (fresh / "card.json").write_text(json.dumps(card, indent=1) + "\n")
            for path in fresh.iterdir():
                path.chmod(0o644)
            if folder.exists():
                os.replace(folder, Path(name) / "old")
            os.replace(fresh, folder)
    except OSError as error:
        raise EnvironmentFailure(f"{folder}: cannot be written: {error.strerror or error}") from error
