"""Why did this seed fail?  Sentences derived from what one run left behind."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

from stabilitybench.documents.formats import points
from stabilitybench.storage.records import NO_RESULT

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]

#: A training loss above this share of ln(classes), the loss of even odds, has learned next to nothing ...
NOTHING_LEARNED = 0.95
#: ... and one below this share has learned the training rows.
ROWS_LEARNED = 0.7
#: A validation score this far above no skill was learned, and not luck on a few hundred rows.
LEARNED = 0.1
#: Gradients of the lowest trained layer below this share of the head's hardly move it.
VANISHED = 0.01


def diagnose(record: Record, predictions: pd.DataFrame | None = None) -> list[str]:
    """Return the story of a run in sentences, the verdict first.

    Parameters
    ----------
    record : dict
        As `Store.find` returns it.
    predictions : DataFrame, optional
        As `Store.predictions` returns them; without them the class that is always predicted has no name.
    """
    if record["status"] in NO_RESULT:
        return [f"No result: {record['reason']}."]
    if record["diverged"]:
        return _diverged(record)
    if not record["failed"]:
        return _worked(record)
    return [*_failed(record, predictions), *_learning(record), *_vanishing(record)]


def headline(record: Record) -> str:
    """Return the name of the task's headline metric.

    Parameters
    ----------
    record : dict
        Of a run with a result.
    """
    return str(next(iter(record["scores"]["last"]["test"])))


def _score(record: Record) -> float:
    return float(record["scores"]["last"]["test"][headline(record)])


def _diverged(record: Record) -> list[str]:
    bad = next(e for e in record["evaluations"] if e["train_loss"] is None or e["validation_loss"] is None)
    which = "training" if bad["train_loss"] is None else "validation"
    rates = [e["learning_rate"] for e in record["evaluations"]]
    return [
        f"Diverged: the {which} loss was no longer a number when the run was evaluated at step {bad['step']} of "
        f"{record['total_steps']}; it was stopped there.",
        f"The learning rate had reached {max(rates):.2g}; a smaller one or a longer warm-up usually helps.",
    ]


def _worked(record: Record) -> list[str]:
    metric, no_skill = headline(record), record["no_skill"]["test"]
    said = [f"It learned: {metric} {points(_score(record))} on the test split, no skill {points(no_skill)}."]
    if record["near_no_skill"]:
        said.append("A one-sided 5 % test cannot tell this score from no skill, so it may be luck.")
    return said + _collapse(record)


def _failed(record: Record, predictions: pd.DataFrame | None) -> list[str]:
    metric, no_skill = headline(record), record["no_skill"]["test"]
    scores = f"{metric} {points(_score(record))} on the test split, no skill {points(no_skill)}"
    if not record["constant"]:
        return [f"Failed: no better than the best constant prediction ({scores})."]
    return [f"Failed: constant predictions, {_constant(record, predictions)} ({scores})."]


def _constant(record: Record, predictions: pd.DataFrame | None) -> str:
    classes = record["labels"]["classes"]
    if predictions is None or not classes:
        return "every test text gets the same one"
    rows = predictions[(predictions["split"] == "test") & (predictions["checkpoint"] == "last")]
    logits = rows[[f"logit_{k}" for k in range(len(classes))]].to_numpy()
    return f'every one of the {len(rows)} test texts is called "{classes[int(logits[0].argmax())]}"'


def _learning(record: Record) -> list[str]:
    collapse = _collapse(record)
    if collapse:
        return collapse
    classes = len(record["labels"]["classes"])
    loss = record["evaluations"][-1]["train_loss"]
    if not classes:
        return [f"Its training loss (mean squared error) ended at {loss:.3g}."]
    odds = log(classes)
    told = f"Its training loss ended at {loss:.3f}; even odds on {classes} classes cost ln {classes} = {odds:.3f}"
    if loss >= NOTHING_LEARNED * odds:
        return [f"{told}: nothing was learned, not even of the training rows."]
    if loss <= ROWS_LEARNED * odds:
        return [f"{told}: it learned the training rows and not the task (overfitting)."]
    return [f"{told}: it had begun to learn the training rows when it ended."]


def _collapse(record: Record) -> list[str]:
    metric, no_skill = headline(record), record["no_skill"]["validation"]
    curve = [(e["validation"][metric], e["step"]) for e in record["evaluations"]]
    best, step = max(curve, key=lambda point: point[0])
    last = curve[-1][0]
    if best - no_skill < LEARNED or best - last < LEARNED or last - no_skill > (best - no_skill) / 2:
        return []
    return [
        f"It had learned and lost it again: validation {metric} {points(best)} at step {step}, "
        f"{points(last)} at the end (no skill {points(no_skill)})."
    ]


def _vanishing(record: Record) -> list[str]:
    layers = [p for p in record["evaluations"][-1]["gradient_norm"] if p.startswith("layer.")]
    pairs = [(e["gradient_norm"][layers[0]], e["gradient_norm"].get("head")) for e in record["evaluations"] if layers]
    shares = sorted((low / top, low, top) for low, top in pairs if low is not None and top)
    if not shares or shares[len(shares) // 2][0] > VANISHED:
        return []
    share, low, top = shares[len(shares) // 2]
    told = f"{share:.1e} of what the head gets ({low:.1e} against {top:.1e})" if low else "nothing at all"
    return [f"Gradients vanish on the way down: in the middle of the run, {layers[0]} gets {told}."]
