"""Tables of two uses of several seeds: early dropping, how early failures show, and ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.tables.cells import place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stabilitybench.comparison.seed_selection import EarlyDropping, SeedEnsemble


def early_dropping(found: Sequence[EarlyDropping]) -> Table:
    """Return what is lost when the worse half of the runs is dropped early.

    Parameters
    ----------
    found : sequence of EarlyDropping
        One per encoder, task and arm.
    """
    fractions = _fractions(found)
    rows = []
    for d in found:
        dropped = {}
        for fraction in fractions:
            early = d.early.get(fraction)
            if early is None:
                dropped[f"dropped_{fraction}"] = TableCell(formats.ABSENT)
            else:
                text = f"{formats.points(early.kept)} ({formats.points(early.same_cost)})"
                dropped[f"dropped_{fraction}"] = TableCell(text, early.kept)
        counts = {"runs": count(d.n), "started": count(d.started), "all_finish": score(d.all_finish)}
        rows.append({**place(found, d), **counts, **dropped})
    columns = (
        *place_columns(found),
        *numeric(runs="runs", started="started", all_finish="all finish"),
        *numeric(**{f"dropped_{f}": f"dropped at {100 * f:.0f} %" for f in fractions}),
    )
    saved = ", ".join(f"{100 * s:.0f} % at {100 * f:.0f} %" for f, s in _saved(found).items())
    caption = (
        "Test score, in points, of the run with the best final validation score, of as many runs as column started "
        "says; the mean over all ways to draw them from the runs there are. Dropped at: the half with the lowest "
        "validation score at that point of the training is stopped (Dodge et al. 2020). In parentheses: the score "
        "without dropping of fewer runs, which cost the same. Where the first number is the larger one, early "
        f"dropping pays. Training saved: {saved}."
    )
    return Table("early-dropping", "Early dropping", caption, columns, tuple(rows))


def early_failures(found: Sequence[EarlyDropping]) -> Table:
    """Return how well an early reading tells the runs that will fail.

    Parameters
    ----------
    found : sequence of EarlyDropping
        One per encoder, task and arm.

    Returns
    -------
    Table
        With a row for each arm of which some runs failed and some did not.
    """
    fractions = _fractions(found)
    rows = []
    for d in found:
        if 0 < d.failed < d.n:
            readings = {}
            for f in fractions:
                early = d.early.get(f)
                readings[f"loss_{f}"] = early.auc_loss if early else None
                readings[f"validation_{f}"] = early.auc_validation if early else None
            aucs = {key: TableCell(formats.ABSENT if a is None else f"{a:.2f}", a) for key, a in readings.items()}
            rows.append({**place(found, d), "failed": TableCell(f"{d.failed}/{d.n}", d.failed / d.n), **aucs})
    columns = (
        *place_columns(found),
        *numeric(failed="failed"),
        *numeric(**{f"{what}_{f}": f"{what} at {100 * f:.0f} %" for what in ("loss", "validation") for f in fractions}),
    )
    caption = (
        "The chance (AUC) that a run that fails has a worse reading, at that point of the training, than one that "
        "does not: 1 tells every failure, 0.5 nothing. Loss: the training loss since the evaluation before. "
        "Validation: the validation score. Only arms where some runs failed and some did not."
    )
    return Table("early-failures", "Failures seen early", caption, columns, tuple(rows))


def ensembles(found: Sequence[SeedEnsemble]) -> Table:
    """Return the scores of ensembles of seeds beside those of single runs.

    Parameters
    ----------
    found : sequence of SeedEnsemble
        One per encoder, task and arm.
    """
    sizes = sorted({size for j in found for size in j.ensembles})
    rows = []
    for j in found:
        one = next(iter(j.ensembles.values()))
        single = TableCell(formats.mean_sd(one.single_mean, one.single_sd), one.single_mean)
        cells = {}
        for size in sizes:
            e = j.ensembles.get(size)
            shown = TableCell(formats.ABSENT) if e is None else TableCell(formats.mean_sd(e.mean, e.sd), e.mean)
            cells[f"ensemble_{size}"] = shown
        rows.append({**place(found, j), "runs": count(j.n), "single": single, **cells})
    columns = (
        *place_columns(found),
        *numeric(runs="runs", single="single run", **{f"ensemble_{size}": f"ensemble of {size}" for size in sizes}),
    )
    caption = (
        "Test score in points, mean ± SD across seeds, last checkpoint. Ensemble: the predicted probabilities "
        "(numbers, under regression) of the runs of random disjoint groups are averaged; the SD is that between groups "
        "that share no run, without a number where there are not two. An ensemble of m runs costs m trainings, and m "
        "passes to predict."
    )
    return Table("ensembles", "Ensembles of seeds", caption, columns, tuple(rows))


def _fractions(found: Sequence[EarlyDropping]) -> list[float]:
    return sorted({fraction for d in found for fraction in d.early})


def _saved(found: Sequence[EarlyDropping]) -> dict[float, float]:
    """Return the share of the training saved by each fraction, in the first arm that has it."""
    return {f: next(d.early[f].saved for d in found if f in d.early) for f in _fractions(found)}
