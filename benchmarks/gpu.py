"""What a CUDA device makes of a study: run with `make bench-gpu`.  No download; weights and texts are random.

It prints the card with its rates, then for each shape of encoder the time of an optimizer step: Hugging Face's Trainer,
our steps taken one by one, captured steps of one run, and of several runs side by side.  Texts have the lengths of RTE
(67 tokens on average).
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.finetuning import data
from stabilitybench.finetuning.lanes import Lane
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.finetuning.side_by_side import Request, finetune_side_by_side
from stabilitybench.finetuning.training import loop_of
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import build
from stabilitybench.tasks.base import Split, Task
from stabilitybench.testing.small import SUBJECTS, small_encoder

DEVICE = torch.device("cuda", 0)


@dataclass(frozen=True)
class Shape:
    """An encoder to measure, and how."""

    name: str
    width: int
    layers: int
    precision: str
    counts: tuple[int, ...]

    @property
    def config(self) -> dict[str, int]:
        """Fields of the configuration."""
        heads = {1024: 16, 384: 12, 128: 2}[self.width]
        return {
            "hidden_size": self.width, "num_hidden_layers": self.layers, "num_attention_heads": heads,
            "intermediate_size": 4 * self.width, "vocab_size": 30522 if self.width > 128 else 500,
            "max_position_embeddings": 512,
        }  # fmt: skip


SHAPES = {
    "large": Shape("BERT-large", 1024, 24, "bf16", (2, 3)),
    "large32": Shape("BERT-large", 1024, 24, "fp32", ()),
    "mini": Shape("MiniLM", 384, 6, "bf16", (4,)),
    "mini32": Shape("MiniLM", 384, 6, "fp32", (4,)),
    "pocket": Shape("pocket", 128, 4, "fp32", (8, 32)),
}


def task_like_rte(rows: int = 2490) -> Task:
    """Return pairs of random words whose lengths are distributed about as those of RTE."""
    rng = np.random.default_rng(0)

    def split(name: str, n: int) -> Split:
        lengths = np.clip(rng.lognormal(np.log(58.5), 0.47, n), 12, 128).astype(int) - 3
        second = np.clip(rng.normal(11, 4, n).astype(int), 3, lengths - 4)
        texts = [
            tuple(" ".join(rng.choice(SUBJECTS, size=k)) for k in (a - b, b))
            for a, b in zip(lengths, second, strict=True)
        ]
        ids = tuple(f"{name}-{i}" for i in range(n))
        return Split(ids, tuple(t[0] for t in texts), tuple(t[1] for t in texts), rng.integers(0, 2, n))

    splits = {"train": split("train", rows), "validation": split("validation", 138), "test": split("test", 139)}
    return Task(name="like RTE", kind="classification", classes=("a", "b"), metrics=("accuracy",), **splits)


def per_step(advance, done: int, chunk: int, chunks: int = 6) -> float:
    """Return the median milliseconds of a step over several chunks; `advance(to)` takes the steps up to `to`."""
    times = []
    for _ in range(chunks):
        torch.cuda.synchronize()
        start = time.perf_counter()
        done += chunk
        advance(done)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / chunk * 1e3)
    return statistics.median(times[1:])


def card() -> str:
    """Return the card with what it was measured to do."""
    name = torch.cuda.get_device_name()
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    big = torch.empty(2**30, device=DEVICE, dtype=torch.uint8)
    other = torch.empty_like(big)
    small = torch.zeros(16, device=DEVICE)

    def seconds(work, repeats: int) -> float:
        work()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats

    rate, moved = (
        2 * 8192**3 / seconds(lambda: a @ b, 10) / 1e12,
        2 * 2**30 / seconds(lambda: other.copy_(big), 10) / 1e12,
    )
    launch = seconds(lambda: small.add_(1), 2000) * 1e6
    return f"{name}, torch {torch.__version__}: {rate:.0f} TFLOP/s bf16, {moved:.2f} TB/s, a launch {launch:.1f} us"


def trainer_step(folder: Path, task: Task, encoder: Encoder, recipe: Recipe, steps: int) -> float:
    """Return the median milliseconds of a step of Hugging Face's Trainer, padded to the longest row of a batch."""
    from transformers import (
        AutoModelForSequenceClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    tokens = data.tokenise(encoder, task, text_length(encoder, None)).train
    rows = []
    for i in range(len(tokens)):
        length = int(tokens.mask[i].sum())
        segments = tokens.segments[i, :length].tolist()
        rows.append(
            {
                "input_ids": tokens.tokens[i, :length].tolist(),
                "token_type_ids": segments,
                "labels": int(tokens.labels[i]),
            }
        )
    times = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step % 10 == 0:
                torch.cuda.synchronize()
                times.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir=str(folder / "out"), max_steps=steps, per_device_train_batch_size=16,
        bf16=recipe.precision == "bf16", report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, learning_rate=2e-5,
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    trainer = Trainer(
        model, arguments, train_dataset=rows, callbacks=[Clock()],
        data_collator=DataCollatorWithPadding(encoder.tokenizer()),
    )  # fmt: skip
    with contextlib.redirect_stdout(None):
        trainer.train()
    del trainer, model
    torch.cuda.empty_cache()
    return statistics.median(np.diff(times)[1:]) / 10 * 1e3


def measure(shape: Shape, task: Task, arguments: argparse.Namespace) -> None:
    """Print the lines of one shape."""
    with tempfile.TemporaryDirectory() as place:
        folder = small_encoder(Path(place) / "encoder", std=0.02, **shape.config)
        encoder = load_encoder(str(folder))
        recipe = Recipe(learning_rate=2e-5, steps=468, precision=shape.precision)

        def say(what: str, ms: float, more: str = "") -> None:
            print(f"{shape.name:10} {shape.precision}  {what:28} {ms:8.2f} ms/step  {more}", flush=True)

        if arguments.trainer:
            say("Trainer", trainer_step(folder, task, encoder, recipe, 80))
        method = tuple(build(name, {}) for name in arguments.methods)
        if arguments.plain:
            plain = PlainSteps(loop_of(encoder, task, recipe, method, Seeds(), DEVICE).training)
            plain.advance(5)
            say("one by one", per_step(plain.advance, 5, 8))
            del plain
            torch.cuda.empty_cache()
        for count in (1, *shape.counts):
            torch.cuda.reset_peak_memory_stats()
            made, start = [], time.perf_counter()
            lanes = [Lane(DEVICE) for _ in range(count)]
            for seed, lane in enumerate(lanes):
                with lane.current():
                    loop = loop_of(
                        encoder, task, recipe, method, Seeds(order=seed, dropout=seed, init=seed), DEVICE, lane=lane
                    )
                    made.append((lane, loop.steps))
            torch.cuda.synchronize()
            prepared = time.perf_counter() - start

            def advance(to: int, made=made) -> None:
                for first in range(to - 16, to, 4):
                    for lane, steps in made:
                        with lane.current():
                            steps.advance(first + 4)

            ms = per_step(advance, 0, 16)
            peak = torch.cuda.max_memory_allocated() / 2**30
            label = "captured" if count == 1 else f"captured, {count} side by side"
            say(label, ms / count, f"prepared in {prepared / count:.2f} s a lane, peak {peak / count:.2f} GB a run")
            if arguments.profile and count == 1:
                profile(advance, 96)
            del made, lanes, loop, advance
            torch.cuda.empty_cache()
        for name in arguments.each:
            with (lane := Lane(DEVICE)).current():
                loop = loop_of(encoder, task, recipe, (build(name, {}),), Seeds(), DEVICE, lane=lane)
                say(f"captured, {name}", per_step(loop.steps.advance, 0, 8))
            del loop, lane
            torch.cuda.empty_cache()
        if arguments.study and shape.counts:
            study(shape, encoder, task, recipe, arguments.study)


def study(shape: Shape, encoder: Encoder, task: Task, recipe: Recipe, seeds: int) -> None:
    """Print what a study of one arm takes, everything included."""
    count = shape.counts[0] if shape.counts else 1
    requests = [Request(encoder, task, recipe, (), Seeds(k, k, k)) for k in range(seeds)]
    start = time.perf_counter()
    ends = []
    for _, outcome in finetune_side_by_side(requests, device="cuda:0", count=count):
        if isinstance(outcome, Exception):
            raise outcome
        ends.append(time.perf_counter() - start)
    total = ends[-1]
    steps = recipe.steps or 1
    print(
        f"{shape.name:10} {shape.precision}  {seeds} runs, {count} side by side: {total:.1f} s, "
        f"{total / seeds / steps * 1e3:.2f} ms a step all in; ends {[round(e, 1) for e in ends]}",
        flush=True,
    )


def profile(advance, done: int) -> None:
    """Print the kernels that take most of a step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as prof:
        advance(done + 16)
        torch.cuda.synchronize()
    rows = sorted(prof.key_averages(), key=lambda e: -e.self_device_time_total)[:14]
    for row in rows:
        print(f"   {row.self_device_time_total / 16e3:7.3f} ms  {row.count / 16:7.1f} x  {row.key[:90]}")
    total = sum(e.self_device_time_total for e in prof.key_averages()) / 16e3
    print(f"   {total:7.3f} ms in all, {sum(e.count for e in prof.key_averages()) / 16:.0f} kernels a step", flush=True)


def check() -> None:
    """Hold captured steps against steps taken one by one, and a run beside others against itself alone."""
    with tempfile.TemporaryDirectory() as place:
        encoder = load_encoder(str(small_encoder(Path(place) / "encoder", std=0.05, **SHAPES["pocket"].config)))
        few, recipe = task_like_rte(320), Recipe(learning_rate=3e-4, steps=60)
        for name in ("longer", "mixout", "r3f", "ema", "child-tuning-f", "sam", "lora", "mh-loss", "lnsr", "smart"):
            method = (build(name, {"epochs": 3.0} if name == "longer" else {}),)
            plain = loop_of(encoder, few, recipe, method, Seeds(), DEVICE)
            PlainSteps(plain.training).advance(60)
            lane = Lane(DEVICE)
            with lane.current():
                loop = loop_of(encoder, few, recipe, method, Seeds(), DEVICE, lane=lane)
                loop.steps.advance(60)
            torch.cuda.synchronize()
            pairs = [(plain.training.params[n], t) for n, t in loop.training.params.items()]
            apart = max(float((a - b).abs().max()) for a, b in pairs)
            moved = max(float((t - loop.training.start[n]).abs().max()) for n, t in loop.training.params.items())
            print(f"{name}: captured and one by one {apart:.1e} apart after 60 steps (moved {moved:.1e})", flush=True)
        requests = [Request(encoder, few, recipe, (), Seeds(k, k, k)) for k in range(5)]
        digests = []
        for count in (1, 2, 5):
            found = {r.seeds.init: o for r, o in finetune_side_by_side(requests, device="cuda:0", count=count)}
            for outcome in found.values():
                if isinstance(outcome, Exception):
                    raise outcome
            digests.append([found[k].weights for k in range(5)])
        print("side by side equal to alone:", digests[0] == digests[1] == digests[2], flush=True)


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", default=["large", "mini", "pocket"], help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--no-trainer", dest="trainer", action="store_false")
    parser.add_argument("--no-plain", dest="plain", action="store_false")
    parser.add_argument("--check", action="store_true", help="compare numbers first")
    parser.add_argument("--profile", action="store_true", help="list the kernels of a step")
    parser.add_argument("--study", type=int, default=0, help="runs of a study to time")
    parser.add_argument("--each", nargs="*", default=[], help="stabilizers to time alone")
    parser.add_argument("--methods", nargs="*", default=[], help="stabilizers of the arm")
    arguments = parser.parse_args()
    torch.cuda.set_device(DEVICE)
    print(card(), flush=True)
    task = task_like_rte()
    if arguments.check:
        check()
    for name in arguments.shapes:
        measure(SHAPES[name], task, arguments)


if __name__ == "__main__":
    main()
