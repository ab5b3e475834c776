"""Tables beyond the comparison of each task: performance, all tasks, predictions, and variance components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.comparison.tables.cells import difference, p_values, place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, sentences, share, texts
from stabilitybench.errors import UserError
from stabilitybench.seeds import STREAMS
from stabilitybench.statistics import level, location
from stabilitybench.statistics.components import variance_components
from stabilitybench.statistics.pairing import crossed_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from stabilitybench.comparison.across_tasks import TaskMetaAnalysis
    from stabilitybench.comparison.agreement import Agreement
    from stabilitybench.comparison.model import Comparison

BUDGETS = (5, 10)


def levels(comparison: Comparison, scores: pd.DataFrame, caption: str) -> Table:
    """Return how good the runs of each arm are, how good the best of a few, and how often one beats the baseline's.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    scores : DataFrame
        Checked rows, one per planned run.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    done = finished(scores)
    values = {key: part["score"].to_numpy() for key, part in done.groupby([*GROUP, "arm"], sort=False)}
    rows = []
    for c in comparison.cells:
        own = values.get((c.encoder, c.task, c.arm), np.empty(0))
        base = values.get((c.encoder, c.task, comparison.baseline), np.empty(0))
        if not len(own):
            continue
        table = location.levels(own).astype(object)
        cells = {str(name): _points(row["estimate"], row["low"], row["high"]) for name, row in table.iterrows()}
        for budget in BUDGETS:
            best = float(location.expected_best(own, [budget])[0]) if budget <= len(own) else None
            cells[f"best_of_{budget}"] = TableCell(formats.points(best), best)
        if c.is_baseline:
            cells["better"] = TableCell("(baseline)", 0.5)
        else:
            found = level.probability_of_improvement(own, base)
            limits = "" if found.low is None else f" [{formats.percent(found.low)}, {formats.percent(found.high)}]"
            cells["better"] = TableCell(formats.percent(found.estimate) + limits, found.estimate)
        tested = {"level_difference": difference(c), **p_values(c, c.against.level if c.against else None, "level")}
        rows.append({**place(comparison.cells, c), "n": count(c.n), **tested, **cells})
    columns = (
        *place_columns(comparison.cells),
        *numeric(n="n", level_difference="difference of means [95 %]", level_p="p", level_holm="Holm p"),
        *numeric(mean="mean [95 %]", median="median [95 %]", iqm="interquartile mean [95 %]"),
        *numeric(**{f"best_of_{b}": f"best of {b}" for b in BUDGETS}, better="% better than baseline [95 %]"),
    )
    caption = (
        "All finished runs, failed ones included; they pull the mean most and the interquartile mean (without the "
        "lowest and highest quarter) least. Difference: to the baseline, over pairs of equal seeds where there are, "
        "else Welch's. Intervals: Student's t, order statistics, Tukey-McLaughlin. Best of m: the "
        "expected best of m runs drawn from these without replacement. % better: the chance that a run of the arm "
        f"beats one of the baseline, ties counting half, with the Brunner-Munzel interval. {caption}"
    )
    return Table("performance", "How good runs are", caption, columns, tuple(rows))


def across_tasks(found: Sequence[TaskMetaAnalysis]) -> Table:
    """Return the random-effects summary of each arm's deviation ratios over tasks, or why there is none.

    Parameters
    ----------
    found : sequence of TaskMetaAnalysis
        One per encoder and arm.
    """
    several = len({a.encoder for a in found}) > 1
    rows = []
    for a in found:
        s, sds = a.summary, a.sd_summary
        rows.append(
            {
                **({"encoder": TableCell(a.encoder)} if several else {}),
                "arm": TableCell(a.arm),
                "tasks": TableCell(f"{a.usable}/{len(a.ratios)}", a.usable),
                "deviation_ratio": TableCell(formats.estimate(s.estimate, s.low, s.high), s.estimate),
                "prediction": TableCell(formats.interval(s.prediction_low, s.prediction_high)),
                "tau": TableCell(formats.ABSENT if s.tau2 is None else f"{s.tau2**0.5:.2f}", s.tau2),
                "i2": share(s.i2),
                "sd_ratio": TableCell(formats.estimate(sds.estimate, sds.low, sds.high), sds.estimate),
                "note": TableCell(s.note),
            }
        )
    columns = (
        *(texts(encoder="encoder") if several else ()),
        *texts(arm="arm"),
        *numeric(tasks="tasks with interval", deviation_ratio="deviation ratio [95 %]"),
        *numeric(prediction="95 % prediction", tau="tau", i2="I²", sd_ratio="SD ratio [95 %]"),
        *sentences(note="note"),
    )
    caption = (
        "Random-effects mean of the log deviation ratios over tasks (Paule-Mandel), with the Hartung-Knapp interval; "
        "below 1 the runs that did not fail lie closer together. Prediction: where the ratio of another task like "
        "these would lie. tau: SD of the true log ratios between tasks; I²: per cent of the variance that lies between "
        "tasks. A task without an interval does not enter, and at least three must. SD ratio: the same of all runs, "
        "for description; a task with failed runs does not enter."
    )
    return Table("across", "Deviation ratios over all tasks", caption, columns, tuple(rows), stacked=True)


def instability(found: Sequence[Agreement]) -> Table:
    """Return the instability measures of the predictions of each arm's runs.

    Parameters
    ----------
    found : sequence of Agreement
        One per encoder, task and arm.
    """
    rows = tuple(
        {
            **place(found, a),
            "runs": count(len(a.seeds)),
            "disagreement": _percent(a.disagreement),
            "kept_disagreement": _percent(a.kept_disagreement),
            "kappa": TableCell(
                formats.ABSENT if a.kappa is None else f"{a.kappa:.2f}".replace("-0.00", "0.00"), a.kappa
            ),
            "divergence": TableCell(f"{a.divergence:.3f}", a.divergence),
            "churn": _percent(a.churned),
            "both_right": _percent(a.both_right),
        }
        for a in found
    )
    columns = (
        *place_columns(found),
        *numeric(runs="runs", disagreement="% disagreement", kept_disagreement="% among not failed"),
        *numeric(kappa="Fleiss kappa", divergence="JS divergence", churn="% churn", both_right="% both right"),
    )
    caption = (
        "Predicted classes on the test split, last checkpoint, in pairs of runs of one arm (Du & Nguyen 2023). "
        "Disagreement: texts on which two runs predict different classes. Fleiss kappa: "
        "agreement beyond chance, 1 is full. JS divergence of the predicted probabilities, in nats, 0 to 0.693. Churn: "
        "texts on which not all runs agree, which grows with the number of runs. Both right: texts on which two runs "
        "are right. Runs that always predict one class agree perfectly: read these numbers beside the failures."
    )
    left_out = sum(a.left_out for a in found)
    if left_out:
        caption += f" Left out: {formats.counted(left_out, 'run')} without usable predictions."
    return Table("instability", "Instability measures", caption, columns, rows)


def components(scores: pd.DataFrame) -> Table:
    """Return where the variance of each arm comes from.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, one per planned run.

    Returns
    -------
    Table
        Without rows unless the seeds of two streams or more are crossed.
    """
    rows: list[dict[str, TableCell]] = []
    done = finished(scores)
    several = done["encoder"].nunique() > 1
    for (encoder, task, arm), runs in done.groupby([*GROUP, "arm"], sort=False):
        streams = crossed_streams(runs)
        if not streams:
            continue
        named = {"task": TableCell(str(task)), "arm": TableCell(str(arm))}
        where = {"encoder": TableCell(str(encoder)), **named} if several else named
        try:
            table = variance_components(runs.rename(columns={f"seed_{s}": s for s in streams}), streams)
        except UserError as error:
            nothing = dict.fromkeys(("levels", "sd", "share", "method"), TableCell(""))
            rows.append({**where, "component": TableCell(formats.ABSENT), **nothing, "note": TableCell(str(error))})
            continue
        for row in table.to_dict("records"):
            low, high = (None if v != v else max(float(v), 0.0) ** 0.5 for v in (row["low"], row["high"]))
            limits = "" if low is None or high is None else f" [{formats.spread(low)}, {formats.spread(high)}]"
            rows.append(
                {
                    **where,
                    "component": TableCell(str(row["component"])),
                    "levels": count(int(row["levels"])) if row["levels"] == row["levels"] else TableCell(""),
                    "sd": TableCell(formats.spread(row["sd"]) + limits, _number(row["sd"])),
                    "share": share(_number(row["share"])),
                    "method": TableCell(str(row["method"])),
                    "note": TableCell(str(row["note"])),
                }
            )
    columns = (
        *(texts(encoder="encoder") if several else ()),
        *texts(task="task", arm="arm", component="component"),
        *numeric(levels="levels", sd="SD [95 %]", share="% of variance"),
        *sentences(method="method", note="note"),
    )
    caption = (
        "How much each stream of seeds, and each pair of streams beyond the two alone, contributes to the variance of "
        "the scores of an arm. SD in points, all finished runs; where runs failed, the components mix failing with "
        "spreading."
    )
    return Table("components", "Variance components", caption, columns, tuple(rows))


def crossed_streams(runs: pd.DataFrame) -> list[str]:
    """Return the streams whose seeds vary and come back in several runs of an arm.

    Parameters
    ----------
    runs : DataFrame
        Finished runs of one arm on one task.

    Returns
    -------
    list of str
        Empty unless there are two or more; streams that vary together count once.
    """
    keys = [*runs[[f"seed_{s}" for s in STREAMS]].itertuples(index=False, name=None)]
    return [STREAMS[part] for part in crossed_parts(keys)]


def _points(estimate: float, low: float, high: float) -> TableCell:
    limits = "" if low != low or high != high else f" [{formats.points(low)}, {formats.points(high)}]"
    return TableCell(formats.points(estimate) + limits, estimate)


def _percent(value: float | None) -> TableCell:
    return TableCell(formats.ABSENT if value is None else f"{100 * value:.1f}", value)


def _number(value: float) -> float | None:
    return None if value != value else float(value)
