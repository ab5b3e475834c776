"""Draw the figures of these pages: every line is computed here, by the functions the pages describe.

    python docs/bounds/figures.py             # all of them, about a minute on one core
    python docs/bounds/figures.py head-tuning

Medians over a handful of synthetic datasets; the same numbers on every run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stabilitybench.synthetic import generate
from stabilitybench.theory import (
    bounds,
    constants,
    leave_one_out,
    leave_one_out_max_margin,
    leave_one_out_quadratics,
    max_margin,
)

HERE = Path(__file__).parent
SEEDS = range(8)
STEPS = [1, 3, 10, 30, 100, 300, 1000, 3000]
#: Legible in print and with the usual colour deficiencies (Okabe & Ito 2008).
MEASURED, OURS, CLOSED, PUBLISHED = "#000000", "#0072B2", "#009E73", "#D55E00"

Line = tuple[str, str, str, list[float]]


def median(values: list[list[float]]) -> list[float]:
    """Return the median over datasets (rows) at each setting (column)."""
    return [float(value) for value in np.median(values, axis=0)]


def published_full_tuning() -> tuple[str, list[float], list[Line]]:
    """Draw P1 and the bound for a shared minimiser against kappa, in P1's own setting."""
    kappas = [2.0, 5.0, 10.0, 30.0, 100.0]
    measured, ours, published = [], [], []
    for kappa in kappas:
        steps = sorted({int(t) for t in np.geomspace(1, 30 * kappa, 40)})
        found = []
        for seed in SEEDS:
            data = generate("common-minimiser", n=30, d=5, mu=1 / kappa, beta=1.0, seed=seed)
            assert data.hessians is not None
            assert data.start is not None
            full, without = leave_one_out_quadratics(data.hessians, data.x, data.start, rate=1.0, steps=steps)
            found.append(np.linalg.norm(without - full[:, None], axis=2).mean(axis=1).max())
        measured.append(float(np.median(found)))
        call = {"n": 30, "smoothness": 1.0, "convexity": 1 / kappa, "distance": 1.0}
        ours.append(bounds.common_minimiser(**call).value)
        published.append(bounds.published_full_tuning(lipschitz=1.0, **call).value)
    lines = [
        ("P1", PUBLISHED, "--", published),
        ("shared minimiser, this project", OURS, "-", ours),
        ("measured, largest over t", MEASURED, "o-", measured),
    ]
    return "condition number beta / mu", kappas, lines


def common_minimiser() -> tuple[str, list[float], list[Line]]:
    """Draw the transient of a shared minimiser against the number of steps."""
    steps = [1, 2, 4, 8, 16, 32, 64]
    data = generate("common-minimiser", n=30, d=5, mu=0.1, beta=1.0, seed=0)
    assert data.hessians is not None
    assert data.start is not None
    full, without = leave_one_out_quadratics(data.hessians, data.x, data.start, rate=1.0, steps=steps)
    measured = np.linalg.norm(without - full[:, None], axis=2).max(axis=1)
    call = {"n": 30, "smoothness": 1.0, "convexity": 0.1, "distance": 1.0}
    lines = [
        ("P1", PUBLISHED, "--", [bounds.published_full_tuning(lipschitz=1.0, **call).value] * len(steps)),
        ("bound, largest over t", CLOSED, ":", [bounds.common_minimiser(**call).value] * len(steps)),
        ("bound at t", OURS, "-", [bounds.common_minimiser(steps=t, **call).value for t in steps]),
        ("measured, worst sample", MEASURED, "o-", measured.tolist()),
    ]
    return "steps t", [float(t) for t in steps], lines


def full_tuning() -> tuple[str, list[float], list[Line]]:
    """Draw A2 and its closed form against the number of steps, ridge regression."""
    measured, one_run, closed = [], [], []
    for seed in SEEDS:
        data = generate("ridge", n=50, d=10, l2=0.1, seed=seed)
        mu, beta = constants.leave_one_out_curvature(data.x, loss="squared", l2=0.1)
        rate = 1 / beta.max()
        call = {"loss": "squared", "rate": rate, "l2": 0.1, "weight": "1/n"}
        found = leave_one_out(data.x, data.y, steps=STEPS, dtype="float64", **call)
        measured.append(found.mean_distance[:, 0])
        one_run.append(bounds.full_tuning_one_run(data.x, data.y, steps=STEPS, **call).values)
        lipschitz = max(
            constants.lipschitz(data.x, data.y, w, loss="squared") for w in [np.zeros(10), *found.weights[:, 0]]
        )
        closed.append(
            [
                bounds.full_tuning(
                    n=50, steps=t, rate=rate, lipschitz=lipschitz, convexity=mu.min(), smoothness=beta.max()
                ).value
                for t in STEPS
            ]
        )
    lines = [
        ("A2, closed form", CLOSED, ":", median(closed)),
        ("A2, one run", OURS, "-", median(one_run)),
        ("measured, average over i", MEASURED, "o-", median(measured)),
    ]
    return "steps t", [float(t) for t in STEPS], lines


def at_convergence() -> tuple[str, list[float], list[Line]]:
    """Draw A1 against the number of samples, ridge regression."""
    counts = [20, 40, 80, 160, 320]
    measured, bound = [], []
    for seed in SEEDS:
        rows, said = [], []
        for n in counts:
            data = generate("ridge", n=n, d=10, l2=0.1, seed=seed)
            assert data.minimiser is not None
            found = leave_one_out(data.x, data.y, "squared", steps=20_000, l2=0.1, dtype="float64")
            rows.append(found.mean_distance[0, 0])
            said.append(bounds.at_convergence(data.x, data.y, data.minimiser, loss="squared", l2=0.1).value)
        measured.append(rows)
        bound.append(said)
    lines = [("A1", OURS, "-", median(bound)), ("measured, average over i", MEASURED, "o-", median(measured))]
    return "samples n", [float(n) for n in counts], lines


def published_head_tuning() -> tuple[str, list[float], list[Line]]:
    """Draw P2 with its most favourable constants, and B2, against the number of samples."""
    counts, measured, closed, published = max_margin_by_count()
    lines = [
        ("P2, second term, favourable constants", PUBLISHED, "--", published),
        ("sqrt(2), what is always true", "#999999", "-", [float(np.sqrt(2))] * len(counts)),
        ("B2, closed form", CLOSED, ":", closed[2]),
        ("measured, average over i", MEASURED, "o-", measured),
    ]
    return "samples n", counts, lines


def max_margin_figure() -> tuple[str, list[float], list[Line]]:
    """Draw the three forms of B2 against the number of samples."""
    counts, measured, each, _ = max_margin_by_count()
    lines = [
        ("B2, closed form", CLOSED, ":", each[2]),
        ("B2, one fit", OURS, "--", each[1]),
        ("B2, after refitting", OURS, "-", each[0]),
        ("measured, average over i", MEASURED, "o-", measured),
    ]
    return "samples n", counts, lines


def max_margin_by_count() -> tuple[list[float], list[float], list[list[float]], list[float]]:
    """Return n, the measured average, the three forms of B2, and P2 with nu = gamma, n lambda = 1 / max alpha."""
    counts = [10, 20, 40, 80, 160, 320]
    rows = []
    for seed in SEEDS:
        row = []
        for n in counts:
            data = generate("separable-ball", n=n, d=10, margin=0.2, seed=seed)
            found = leave_one_out_max_margin(data.x, data.y)
            gamma, radius = found.full.margin, data.constants["radius"]
            row.append(
                [
                    found.direction.mean(),
                    bounds.max_margin_refit(margin=gamma, margins=found.margin).value,
                    bounds.max_margin_one_fit(data.x, found.full).value,
                    bounds.max_margin(n=n, radius=radius, margin=gamma).value,
                    bounds.published_head_tuning(
                        n=n,
                        steps=1000,
                        radius=radius,
                        margin=gamma,
                        c=0.0,
                        nu=gamma,
                        lam=1 / (n * found.full.alpha.max()),
                    ).value,
                ]
            )
        rows.append(row)
    columns = np.median(rows, axis=0).T.tolist()
    return [float(n) for n in counts], columns[0], columns[1:4], columns[4]


def published_multi_head() -> tuple[str, list[float], list[Line]]:
    """Draw P3's reading (the error of the mean head falls like 1 / sqrt(H)) against the distances that are measured."""
    heads = [1, 4, 16, 64, 256]
    to_margin, between, said = [], [], []
    for seed in SEEDS:
        data = generate("separable-ball", n=60, d=10, margin=0.2, seed=seed)
        rng = np.random.default_rng(seed)
        starts = rng.standard_normal((2 * heads[-1], 10))
        rate = 1 / constants.smoothness(data.x, loss="logistic")
        ends = descend(data.x, data.y, starts, rate, 1000)
        u = max_margin(data.x, data.y).direction
        rows = []
        for count in heads:
            a, b = (unit(ends[part : part + count].mean(axis=0)) for part in (0, heads[-1]))
            rows.append([np.linalg.norm(a - u), np.linalg.norm(a - b)])
        columns = np.array(rows).T.tolist()
        to_margin.append(columns[0])
        between.append(columns[1])
        single = np.median([np.linalg.norm(unit(end) - u) for end in ends])
        said.append([single / np.sqrt(count) for count in heads])
    lines = [
        ("what independent, zero-mean errors would give", PUBLISHED, "--", median(said)),
        ("measured distance to the max-margin direction", MEASURED, "o-", median(to_margin)),
        ("measured distance of two mean heads (seed)", OURS, "s-", median(between)),
    ]
    return "heads H", [float(count) for count in heads], lines


def max_margin_direction() -> tuple[str, list[float], list[Line]]:
    """Draw B1 with and without the margin against the number of steps."""
    measured, known, gap = [], [], []
    steps = STEPS[2:]
    for seed in SEEDS:
        data = generate("separable-ball", n=40, d=5, margin=0.2, seed=seed)
        found = leave_one_out(data.x, data.y, steps=steps, dtype="float64")
        solution = max_margin(data.x, data.y)
        heads = found.weights[:, 0]
        measured.append([np.linalg.norm(unit(w) - solution.direction) for w in heads])
        known.append([bounds.max_margin_direction(data.x, data.y, w, margin=solution.margin).value for w in heads])
        gap.append([bounds.max_margin_direction(data.x, data.y, w).value for w in heads])
    lines = [
        ("B1, margin from the duality gap", OURS, "--", median(gap)),
        ("B1, margin known", OURS, "-", median(known)),
        ("measured distance to the max-margin direction", MEASURED, "o-", median(measured)),
    ]
    return "steps t", [float(t) for t in steps], lines


def head_tuning() -> tuple[str, list[float], list[Line]]:
    """Draw B3, one run and closed form, against the number of steps."""
    measured, one_run, closed = [], [], []
    for seed in SEEDS:
        data = generate("separable-ball", n=40, d=5, margin=0.2, seed=seed)
        beta = constants.smoothness(data.x, loss="logistic")
        measured.append(leave_one_out(data.x, data.y, steps=STEPS, dtype="float64").mean_direction[:, 0])
        one_run.append(bounds.head_tuning_one_run(data.x, data.y, rate=1 / beta, steps=STEPS).values)
        radius, margin = data.constants["radius"], data.constants["margin"]
        value = bounds.head_tuning(n=40, radius=radius, margin=margin, rate=1 / beta, smoothness=beta).value
        closed.append([value] * len(STEPS))
    lines = [
        ("B3, closed form 2 B / (n gamma)", CLOSED, ":", median(closed)),
        ("B3, one run", OURS, "-", median(one_run)),
        ("measured, average over i", MEASURED, "o-", median(measured)),
    ]
    return "steps t", [float(t) for t in STEPS], lines


def initialisation() -> tuple[str, list[float], list[Line]]:
    """Draw B4 against the number of steps: two starts, the same samples."""
    measured, bound = [], []
    for seed in SEEDS:
        data = generate("separable-ball", n=60, d=10, margin=0.2, seed=seed)
        starts = np.random.default_rng(seed).standard_normal((2, 10))
        beta = constants.smoothness(data.x, loss="logistic")
        gap = float(np.linalg.norm(starts[0] - starts[1]))
        rows, said = [], []
        for t in STEPS:
            a, b = descend(data.x, data.y, starts, 1 / beta, t)
            rows.append(np.linalg.norm(unit(a) - unit(b)))
            norms = {"norm_a": float(np.linalg.norm(a)), "norm_b": float(np.linalg.norm(b))}
            said.append(bounds.initialisation(gap=gap, rate=1 / beta, smoothness=beta, **norms).value)
        measured.append(rows)
        bound.append(said)
    lines = [("B4", OURS, "-", median(bound)), ("measured, two starts", MEASURED, "o-", median(measured))]
    return "steps t", [float(t) for t in STEPS], lines


def data_and_seed() -> tuple[str, list[float], list[Line]]:
    """Draw the data and the seed part of the total against the number of steps, with the growth that is guaranteed."""
    steps = [10**k for k in range(4, 10)]
    norms = [bounds.norm_growth(radius=1.0, margin=0.2, rate=4.0, steps=t, start_norm=0.3) for t in steps]
    parts = [
        bounds.data_and_seed(n=100, radius=1.0, margin=0.2, rate=4.0, norm=norm, scale=0.1, d=10).parts
        for norm in norms
    ]
    data, seed = ([part[name] for part in parts] for name in ("data", "seed"))
    lines = [
        ("total", MEASURED, "-", [a + b for a, b in zip(data, seed, strict=True)]),
        ("data part", CLOSED, ":", data),
        ("seed part", OURS, "--", seed),
    ]
    return "steps t", [float(t) for t in steps], lines


def descend(x: np.ndarray, y: np.ndarray, starts: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """Run gradient descent on the mean logistic loss from every start."""
    z = x * np.where(y == 1, 1.0, -1.0)[:, None]
    w = starts.copy()
    for _ in range(steps):
        w += rate / len(z) * (1 / (1 + np.exp(w @ z.T))) @ z
    return w


def unit(w: np.ndarray) -> np.ndarray:
    """Return the direction of w."""
    return w / np.linalg.norm(w)


#: Page: what to draw, and the label of the vertical axis.
FIGURES: dict[str, tuple[Callable[[], tuple[str, list[float], list[Line]]], str]] = {
    "published-full-tuning": (published_full_tuning, "distance of the weights"),
    "published-head-tuning": (published_head_tuning, "distance of the directions"),
    "published-multi-head": (published_multi_head, "distance of directions"),
    "full-tuning": (full_tuning, "distance of the weights"),
    "at-convergence": (at_convergence, "distance of the minimisers"),
    "common-minimiser": (common_minimiser, "distance of the weights"),
    "max-margin-direction": (max_margin_direction, "distance to the max-margin direction"),
    "max-margin": (max_margin_figure, "distance of the directions"),
    "head-tuning": (head_tuning, "distance of the directions"),
    "initialisation": (initialisation, "distance of the directions"),
    "data-and-seed": (data_and_seed, "bound"),
}


def draw(page: str, folder: Path = HERE) -> Path:
    """Draw the figure of `page` as an SVG of a few kilobytes into `folder` and return its path."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    compute, label = FIGURES[page]
    across, places, lines = compute()
    path = folder / f"{page}.svg"
    # a fixed salt and no date: the same figure is the same file
    with rc_context({"svg.hashsalt": page, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(5.6, 3.8), layout="constrained")
        axes = figure.subplots()
        for name, color, style, values in lines:
            axes.plot(places, values, style, color=color, label=name, linewidth=1.6, markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(across)
        axes.set_ylabel(label)
        axes.minorticks_off()
        axes.set_xticks(places, [f"{place:g}" for place in places])
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


if __name__ == "__main__":
    if unknown := [page for page in sys.argv[1:] if page not in FIGURES]:
        sys.exit(f"error: unknown page {unknown[0]} (known: {', '.join(FIGURES)})")
    for chosen in sys.argv[1:] or FIGURES:
        print(draw(chosen))
