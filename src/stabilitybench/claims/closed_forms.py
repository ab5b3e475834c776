"""Rules that need no experiment: what a paper says, computed.

Some run the toolkit's own optimizer and encoders, so that they are computed by the paper checks and kept as a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.claims.findings import VERDICTS, CheckResult, VerdictName
from stabilitybench.errors import UserError, suggest

if TYPE_CHECKING:
    import pandas as pd

FORM_COLUMNS = ("form", "points", "effect", "unit", "note", "verdict")


def update_ratio() -> CheckResult:
    """Compare steps of Adam without bias correction with those with it: at most 6.57 times as large, at step 12.

    Two trainings of our own optimizer on one constant gradient without eps, step by step, beside the closed form
    (1 - b1^t) / sqrt(1 - b2^t).

    Returns
    -------
    CheckResult
        The largest ratio; supported where every ratio is that of the closed form within 1e-9, the largest is 6.57 at
        step 12, and they fall from there.
    """
    import torch

    from stabilitybench.optim.adam import AdamState, adam_step, bias_ratio

    steps = 2_500
    moved = []
    for corrected in (False, True):
        weights, state, path = {"w": torch.zeros(1, dtype=torch.float64)}, AdamState(), [0.0]
        for _ in range(steps):
            adam_step(
                weights, {"w": torch.ones(1, dtype=torch.float64)}, state, rates={"w": 1.0}, decays={"w": 0.0},
                epsilon=0.0, bias_correction=corrected,
            )  # fmt: skip
            path.append(float(weights["w"]))
        moved.append(np.diff(path))
    ratio = moved[0] / moved[1]
    formula = np.array([bias_ratio(t) for t in range(1, steps + 1)])
    error = float(np.abs(ratio / formula - 1).max())
    peak, at = float(ratio.max()), int(ratio.argmax()) + 1
    faded = int(np.argmax((ratio < 1.1) & (np.arange(1, steps + 1) > at))) + 1
    agrees = error < 1e-9 and abs(peak - 6.57) < 0.005 and at == 12 and bool((np.diff(ratio[at:]) < 0).all())
    return CheckResult(
        f"{steps} steps", peak, unit="ratio", note=f"largest at step {at}, below 1.1 from step {faded}",
        decided=_verdict(agrees),
    )  # fmt: skip


def biased_is_larger_rate() -> CheckResult:
    """Take 200 steps of Adam without correction at rate r, and of AdamW at r c_t, eps / sqrt(1 - b2^t), decay / c_t.

    Returns
    -------
    CheckResult
        Supported where the final weights agree within 1e-9 of the way they moved.
    """
    import torch

    from stabilitybench.optim.adam import AdamState, adam_step, bias_ratio

    rng = np.random.default_rng(7)
    start = torch.from_numpy(rng.normal(size=20))
    plain, other = {"w": start.clone()}, {"w": start.clone()}
    states = AdamState(), AdamState()
    rate, decay, eps, b2 = 1e-3, 0.01, 1e-8, 0.999
    for t in range(1, 201):
        gradient = {"w": torch.from_numpy(rng.normal(size=20))}
        c = bias_ratio(t)
        adam_step(
            plain, gradient, states[0], rates={"w": rate}, decays={"w": decay}, epsilon=eps, bias_correction=False
        )
        adam_step(
            other, gradient, states[1], rates={"w": rate * c}, decays={"w": decay / c},
            epsilon=eps / math.sqrt(1 - b2**t), bias_correction=True,
        )  # fmt: skip
    error = float((plain["w"] - other["w"]).abs().max() / (plain["w"] - start).abs().max())
    return CheckResult("200 steps", note=_agreement(error, 1e-9), decided=_verdict(error < 1e-9))


def mixout_mean() -> CheckResult:
    """Average Mixout's mixed weight over every mask of six inputs, with its probability: W.

    Returns
    -------
    CheckResult
        Supported where the average is W within 1e-12 at p = 0.1, 0.5 and 0.9.
    """
    rng = np.random.default_rng(11)
    weight, start = rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    worst = 0.0
    for p in (0.1, 0.5, 0.9):
        mean = np.zeros_like(weight)
        for mask in product((0.0, 1.0), repeat=6):
            kept = np.array(mask)
            mixed = (kept * weight + (1 - kept) * start - p * start) / (1 - p)
            mean += mixed * (1 - p) ** kept.sum() * p ** (6 - kept.sum())
        worst = max(worst, float(np.abs(mean - weight).max()))
    return CheckResult("3 x 64 masks", note=_agreement(worst, 1e-12), decided=_verdict(worst < 1e-12))


def p1_falls_with_n() -> CheckResult:
    """Double, quadruple: P1, as recalled, is proportional to 1 / n, to sqrt(L), and to sqrt of the distance.

    Returns
    -------
    CheckResult
        Supported where each of the three ratios is 2 within 1e-12.
    """
    from stabilitybench.theory.bounds.published import published_full_tuning

    def value(n: int = 100, lipschitz: float = 1.0, distance: float = 1.0) -> float:
        bound = published_full_tuning(n=n, lipschitz=lipschitz, smoothness=1.0, convexity=0.1, distance=distance)
        return float(bound.value)

    ratios = (value() / value(n=200), value(lipschitz=4.0) / value(), value(distance=4.0) / value())
    error = max(abs(r - 2) for r in ratios)
    return CheckResult("3 ratios", note=_agreement(error, 1e-12), decided=_verdict(error < 1e-12))


def p1_small_rate() -> CheckResult:
    """Read P1, which fixes the rate at 1 / beta, at smaller rates: a larger beta, with which it grows.

    Returns
    -------
    CheckResult
        The bound at rate 0.01 over that at 1; supported where the bound falls with the rate.
    """
    from stabilitybench.theory.bounds.published import published_full_tuning

    rates = (1.0, 0.1, 0.01)
    values = [
        float(published_full_tuning(n=100, lipschitz=1.0, smoothness=1 / r, convexity=0.1, distance=1.0).value)
        for r in rates
    ]
    falls = all(b < a for a, b in pairwise(values))
    told = ", ".join(f"{v:.2f} at {r:g}" for v, r in zip(values, rates, strict=True))
    return CheckResult("3 rates", values[-1] / values[0], unit="ratio", note=told, decided=_verdict(falls))


def mmr_needs_a_gradient() -> CheckResult:
    """Ask the toolkit for MMR under head tuning, where its penalty is a constant: frozen features have no gradient.

    Returns
    -------
    CheckResult
        Not applicable where the toolkit refuses, with its reason; contradicted where it does not.
    """
    from stabilitybench.encoders import load_encoder
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers import build
    from stabilitybench.stabilizers.context import TaskFacts

    encoder = load_encoder("pocket/bert-small")
    facts = TaskFacts("pocket/acceptability", "classification", outputs=2, n_train=320)
    try:
        build("mmr").supports(Recipe(mode="head"), encoder.layout, facts)
    except UserError as error:
        return CheckResult("1 method", note=str(error), decided="not applicable")
    return CheckResult("1 method", note="the method was not refused", decided="contradicted")


def _agreement(error: float, limit: float) -> str:
    # not the error itself, whose last digits differ between machines
    return f"largest difference below {limit:g}" if error < limit else f"largest difference {error:.1e}"


def _verdict(agrees: bool) -> VerdictName:
    return "supported" if agrees else "contradicted"


FORMS: dict[str, Callable[[], CheckResult]] = {
    form.__name__.replace("_", "-"): form
    for form in (
        update_ratio, biased_is_larger_rate, mixout_mean, p1_falls_with_n, p1_small_rate,
        mmr_needs_a_gradient,
    )
}  # fmt: skip


def forms_table() -> pd.DataFrame:
    """Compute every form and return the table that is kept of them.

    Returns
    -------
    DataFrame
        One row per form; columns: form, points, effect, unit, note, verdict.
    """
    import pandas as pd

    found = {name: form() for name, form in FORMS.items()}
    rows = [
        {"form": name, "points": f.n, "effect": f.effect, "unit": f.unit, "note": f.note, "verdict": f.decided}
        for name, f in found.items()
    ]
    return pd.DataFrame(rows, columns=list(FORM_COLUMNS))


def kept_form(table: pd.DataFrame, name: str) -> CheckResult:
    """Return what a kept table says of the form `name`.

    Parameters
    ----------
    table : DataFrame
        As `forms_table` makes it.
    name : str
        A key of `FORMS`.

    Raises
    ------
    UserError
        Where the table has no such form, or a verdict that is none.
    """
    known = table["form"].tolist()
    if name not in known:
        raise UserError(f'form = "{name}": must be one of {", ".join(known)}{suggest(name, known)}')
    row = table[table["form"] == name].iloc[0]
    effect = None if row.isna()["effect"] else float(row["effect"])
    unit, note = ("" if row.isna()[key] else str(row[key]) for key in ("unit", "note"))
    verdict = row["verdict"]
    if verdict not in VERDICTS:
        raise UserError(f'closed-forms: form "{name}": verdict = "{verdict}": must be one of {", ".join(VERDICTS)}')
    return CheckResult(str(row["points"]), effect, unit=unit, note=note, decided=verdict)
