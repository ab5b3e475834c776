"""One run in the terminal: what happened, and why its seed failed if it did."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite, log10
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from stabilitybench.cli.views.diagnosis import Record, diagnose, headline
from stabilitybench.documents.formats import ABSENT, points
from stabilitybench.errors import shown
from stabilitybench.recipe import Recipe
from stabilitybench.storage.records import NO_RESULT

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

BARS = "▁▂▃▄▅▆▇█"
STYLES = {"ok": "green", "failed": "red", "diverged": "red", "crashed": "red", "timeout": "yellow"}


def print_run(record: Record, console: Console, predictions: pd.DataFrame | None = None) -> None:
    """Print a stored run: verdict, scores, curves, gradients and distances by place, tensors, and how to repeat it.

    Parameters
    ----------
    record : dict
        As `Store.find` returns it.
    console : Console
        Where to print.
    predictions : DataFrame, optional
        As `Store.predictions` returns them.
    """
    labels, status = record["labels"], record["status"]
    title = Text(f"run {record['id']}  ")
    title.append(status, style=STYLES[status])
    console.print(title)
    arm = ", ".join(labels["stabilizers"]) or "plain recipe"
    console.print(Text(f"{labels['encoder']} on {labels['task']}, {arm}"), soft_wrap=True)
    console.print()
    for sentence in diagnose(record, predictions):
        console.print(Text(sentence))
    if status not in NO_RESULT:
        console.print()
        console.print(_scores(record))
        console.print(_curve(record))
        console.print(_places(record))
        for line in _stages(record):
            console.print(line, soft_wrap=True)
        for line in _measures(record):
            console.print(line, soft_wrap=True)
        for line in _tensors(record):
            console.print(line)
        for text in record["warnings"]:
            console.print(Text(f"warning: {text}", style="yellow"))
    console.print()
    for line in _origin(record):
        console.print(line)


def spark(values: Iterable[float | None]) -> str:
    """Draw numbers as one character each, from the lowest to the highest.

    Parameters
    ----------
    values : iterable of float or None
        One that is missing or not finite is drawn as a blank.

    Examples
    --------
    >>> spark([0, 1, None, 2])
    '▁▄ █'
    """
    series = list(values)
    known = [v for v in series if v is not None and isfinite(v)]
    if not known:
        return " " * len(series)
    low, width = min(known), max(known) - min(known)
    return "".join(
        " " if v is None or not isfinite(v) else BARS[int((v - low) / width * (len(BARS) - 1))] if width else BARS[3]
        for v in series
    )


def _scores(record: Record) -> Table:
    metrics = list(record["scores"]["last"]["test"])
    table = _table("checkpoint", *(f"{split} {metric}" for split in ("validation", "test") for metric in metrics))
    for checkpoint, words in (
        ("last", f"last (step {record['evaluations'][-1]['step']})"),
        ("best", f"best (step {record['best_step']})"),
    ):
        scores = record["scores"][checkpoint]
        table.add_row(words, *(points(scores[split][m]) for split in ("validation", "test") for m in metrics))
    constant = (record["no_skill"][s] if m == metrics[0] else None for s in ("validation", "test") for m in metrics)
    table.add_row("no skill", *("" if score is None else points(score) for score in constant))
    return table


def _curve(record: Record) -> Table:
    metric = headline(record)
    table = _table("step", "learning rate", "training loss", "validation loss", f"validation {metric}")
    for e in record["evaluations"]:
        losses = (_number(e["train_loss"], ".3f"), _number(e["validation_loss"], ".3f"))
        table.add_row(str(e["step"]), f"{e['learning_rate']:.2e}", *losses, points(e["validation"][metric]))
    return table


def _places(record: Record) -> Table:
    """Gradient norms over time and the distance moved, from head to embeddings as gradients flow."""
    evaluations = record["evaluations"]
    places = list(dict.fromkeys(p for e in evaluations for p in e["gradient_norm"]))
    table = _table("module group", "gradient first", "last", "over time (log)", "distance moved")
    for place in reversed(places):
        norms = [e["gradient_norm"].get(place) for e in evaluations]
        logs = [log10(n) if n else None for n in norms]
        moved = evaluations[-1]["distance"].get(place)
        table.add_row(place, _number(norms[0], ".1e"), _number(norms[-1], ".1e"), spark(logs), _number(moved, ".3g"))
    return table


def _stages(record: Record) -> list[Text]:
    """One line for each stage before fine-tuning: its name and what it left."""
    lines = []
    for stage in record["facts"].get("stages", ()):
        numbers = (f"{k} {v if isinstance(v, (str, int)) else format(v, '.4g')}" for k, v in stage.items())
        lines.append(Text("before fine-tuning: " + ", ".join(list(numbers)).replace("stage ", "", 1)))
    return lines


def _measures(record: Record) -> list[Text]:
    """One line for each number of the stabilizers' own: at the first and the last evaluation, and over time."""
    names = list(dict.fromkeys(name for e in record["evaluations"] for name in e.get("measures", ())))
    series = {name: [e["measures"].get(name) for e in record["evaluations"]] for name in names}
    return [
        Text(f"{name}: {_number(values[0], '.4g')} -> {_number(values[-1], '.4g')}  {spark(values)}")
        for name, values in series.items()
    ]


def _tensors(record: Record) -> list[Text]:
    kinds = {
        "drawn": "drawn anew by a stabilizer",
        "fresh": "new, as the checkpoint lacks them",
        "frozen": "frozen",
    }
    return [
        Text(f"{_count(record[key])} {words}: {_families(record[key])}") for key, words in kinds.items() if record[key]
    ]


def _count(names: Sequence[str]) -> str:
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"


def _families(names: Iterable[str]) -> str:
    """Name tensors by the part they belong to.

    >>> _families(["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.bias"])
    'bert.pooler (2), classifier (1)'
    """
    part = re.compile(r"^(.*?(?:layer\.\d+|embeddings|pooler|classifier))\b.*$")
    counts = Counter(part.sub(r"\1", name) for name in names)
    return ", ".join(f"{name} ({n})" for name, n in counts.items())


def _origin(record: Record) -> list[Text]:
    labels = record["labels"]
    plain = Recipe().model_dump(mode="json")
    changed = {key: value for key, value in labels["recipe"].items() if value != plain.get(key)}
    rows = {
        "seeds": ", ".join(f"{stream} {seed}" for stream, seed in labels["seeds"].items()),
        "recipe": ", ".join(f"{key} = {shown(value)}" for key, value in changed.items()) + "; the rest is default",
        "encoder": labels["encoder"] + (f" at {labels['revision']}" if labels["revision"] else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "machine": record["machine"],
    }
    if record["status"] not in NO_RESULT:
        rows["machine"] += f", {record['device']}, {record['seconds']:.1f} s"
        rows["weights"] = f"sha256 {record['weights'][:16]}"
    return [Text(f"{key:<9} {value}", style="dim") for key, value in rows.items()]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=True)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _number(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)
