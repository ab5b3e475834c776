"""The leave-one-out engine beside what one would write without it, and beside the machine's matrix products.

Times are process CPU seconds of one thread.  Ours and the peers take turns within a round; figures are medians over
rounds of times and of ratios.  The peers run few of the n runs and few of the steps, ours all runs; everything is
quoted per run and step, so that the ratio of a whole study of t = 10,000 steps is the same number.
"""

import statistics
import subprocess
import sys
import time

import numpy as np
import peers
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from stabilitybench.theory import (
    leave_one_out,
    leave_one_out_many,
    leave_one_out_max_margin,
    leave_one_out_minimisers,
)

ROUNDS = 5


def data(n, d, *, margin=0.0, seed=0):
    """Rows of a Gaussian, labels by a random direction: noisy, or separable with a margin."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=d)
    u /= np.linalg.norm(u)
    x = rng.normal(size=(n, d))
    noise = 0.0 if margin else 0.3
    y = (x @ u + noise * rng.normal(size=n) > 0).astype(float)
    return x + margin * np.outer(2 * y - 1, u), y


def taking_turns(benchmark, rounds=ROUNDS, **works):
    """Time the works in turns; return the seconds of each, one number a round."""
    seconds = {name: [] for name in works}

    def one_round():
        for name, work in works.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)

    torch.set_num_threads(1)
    benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=1)
    return {name: np.array(times[1:]) for name, times in seconds.items()}


def report(benchmark, **figures):
    benchmark.extra_info.update(figures)
    print("\n" + ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()))


# per run and step: microseconds, ratios to the peers, and shares of the rate of matrix products
@pytest.mark.parametrize(
    ("n", "d", "steps", "few", "script_steps"),
    [(200, 50, 2000, 400, 150), (500, 100, 200, 200, 100), (1000, 300, 30, 100, 60), (2000, 1000, 60, 20, 10)],
)
def test_logistic(benchmark, n, d, steps, few, script_steps):
    x, y = data(n, d)
    rate = leave_one_out(x, y, steps=0).rate
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    moves, rows = np.zeros((n, d), np.float32), np.ascontiguousarray(x32)
    scores, step = np.zeros((n, n), np.float32), np.zeros((n, d), np.float32)
    large = np.ones((2000, 2000), np.float32)
    products = max(1, steps // 4)

    def gemm():
        for _ in range(products):
            np.matmul(moves, rows.T, out=scores)
            np.matmul(scores, rows, out=step)

    seconds = taking_turns(
        benchmark,
        ROUNDS if n < 2000 else 3,
        ours=lambda: leave_one_out(x, y, steps=steps, weight="1/(n-1)", dtype="float32"),
        script=lambda: [peers.torch_script(x32, y32, i, script_steps, rate) for i in (0, n // 2, n - 1)],
        loop=lambda: [peers.numpy_loop(x32, y32, i, few, rate) for i in (0, n // 2, n - 1)],
        gemm=gemm,
        large=lambda: large @ large,
    )
    ours, script, loop = seconds["ours"] / (n * steps), seconds["script"] / 3 / script_steps, seconds["loop"] / 3 / few
    shape_rate, own_rate = 4 * n * n * d * products / seconds["gemm"], 4 * n * d / ours
    report(
        benchmark,
        shape=f"{n}x{d}",
        ours_us=float(np.median(ours) * 1e6),
        script_us=float(np.median(script) * 1e6),
        loop_us=float(np.median(loop) * 1e6),
        over_script=float(np.median(script / ours)),
        over_loop=float(np.median(loop / ours)),
        ours_gflops=float(np.median(own_rate) / 1e9),
        share_of_gemm_at_this_shape=float(np.median(own_rate / shape_rate)),
        share_of_large_gemm=float(np.median(own_rate / (2 * 2000**3 / seconds["large"]))),
    )


def test_whole_study_of_ten_thousand_steps(benchmark):
    """200 x 50, every run, t = 10,000, float32 with its audit, as a user calls it."""
    x, y = data(200, 50)
    found = []
    seconds = taking_turns(
        benchmark, 3, ours=lambda: found.append(leave_one_out(x, y, steps=[10, 100, 1000, 10_000], weight="1/(n-1)"))
    )
    report(
        benchmark,
        seconds=float(np.median(seconds["ours"])),
        dtype=found[-1].dtype,
        audit_error=float(found[-1].audit_error),
    )


def test_more_features_than_rows(benchmark):
    """200 x 1000 in the span of the rows, beside the numpy loop."""
    x, y = data(200, 1000)
    rate = leave_one_out(x, y, steps=0).rate
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    seconds = taking_turns(
        benchmark,
        ours=lambda: leave_one_out(x, y, steps=1000, weight="1/(n-1)", dtype="float32"),
        loop=lambda: [peers.numpy_loop(x32, y32, i, 200, rate) for i in (0, 100, 199)],
    )
    ours, loop = seconds["ours"] / 200 / 1000, seconds["loop"] / 3 / 200
    report(benchmark, ours_us=float(np.median(ours) * 1e6), over_loop=float(np.median(loop / ours)))


def test_many_small_data_sets(benchmark):
    """64 data sets of 50 x 10 together, beside one call each."""
    made = [data(50, 10, seed=k) for k in range(64)]
    xs, ys = [x for x, _ in made], [y for _, y in made]
    seconds = taking_turns(
        benchmark,
        together=lambda: leave_one_out_many(xs, ys, steps=500, dtype="float32"),
        single=lambda: [leave_one_out(x, y, steps=500, dtype="float32") for x, y in zip(xs[:8], ys, strict=False)],
    )
    report(benchmark, over_one_by_one=float(np.median(8 * seconds["single"] / seconds["together"])))


def test_closed_form(benchmark):
    """Squared loss, 500 x 100, t = 10,000: one step count and twenty, beside the numpy loop in float64."""
    x, _ = data(500, 100)
    y = x[:, 0] + 0.1 * np.random.default_rng(1).normal(size=500)
    rate = leave_one_out(x, y, "squared", steps=0).rate
    twenty = np.unique(np.geomspace(100, 10_000, 20).astype(int))
    seconds = taking_turns(
        benchmark,
        ours=lambda: leave_one_out(x, y, "squared", steps=10_000, weight="1/(n-1)"),
        twenty=lambda: leave_one_out(x, y, "squared", steps=twenty, weight="1/(n-1)"),
        loop=lambda: [peers.numpy_squared_loop(x, y, i, 500, rate) for i in (0, 250, 499)],
    )
    exact = leave_one_out(x, y, "squared", steps=10_000, weight="1/(n-1)")
    full = exact.weights[0, 0]
    left_out = (0, 7, 250, 499)
    gaps = [np.linalg.norm(peers.numpy_squared_loop(x, y, i, 10_000, rate) - full) for i in left_out]
    report(
        benchmark,
        seconds=float(np.median(seconds["ours"])),
        over_loop=float(np.median(seconds["loop"] / 3 / 500 * 500 * 10_000 / seconds["ours"])),
        twenty_over_one=float(np.median(seconds["twenty"] / seconds["ours"])),
        largest_error=float(np.max(np.abs(exact.distance[0, 0, left_out] - gaps))),
    )


def test_max_margin_limit(benchmark):
    """500 x 100, separable: every leave-one-out solution, beside SVC refits (every 25th, scaled up)."""
    x, y = data(500, 100, margin=0.2)
    left_out = range(0, 500, 25)

    def refits():
        for i in left_out:
            SVC(kernel="linear", C=1e6).fit(np.delete(x, i, axis=0), np.delete(y, i))

    seconds = taking_turns(benchmark, ours=lambda: leave_one_out_max_margin(x, y), svc=refits)
    report(
        benchmark,
        seconds=float(np.median(seconds["ours"])),
        refits=leave_one_out_max_margin(x, y).refits,
        over_svc=float(np.median(seconds["svc"] * 500 / len(left_out) / seconds["ours"])),
    )


@pytest.mark.parametrize(("n", "d"), [(200, 50), (500, 100), (1000, 300)])
def test_regularised_minimisers(benchmark, n, d):
    """l2 = 0.01: every leave-one-out minimiser, beside scikit-learn refits (some, scaled up)."""
    x, y = data(n, d)
    left_out = np.linspace(0, n - 1, 10).astype(int)
    gaps = []

    def refits():
        gaps.clear()
        for i in left_out:
            peer = LogisticRegression(C=1 / (n * 0.01), fit_intercept=False, tol=1e-8, max_iter=2000)
            gaps.append(peer.fit(np.delete(x, i, axis=0), np.delete(y, i)).coef_[0])

    found = leave_one_out_minimisers(x, y, 0.01)
    seconds = taking_turns(benchmark, ours=lambda: leave_one_out_minimisers(x, y, 0.01), peer=refits)
    wrong = [abs(np.linalg.norm(w - found.weights) - found.distance[i]) for w, i in zip(gaps, left_out, strict=True)]
    report(
        benchmark,
        shape=f"{n}x{d}",
        seconds=float(np.median(seconds["ours"])),
        over_sklearn=float(np.median(seconds["peer"] * n / len(left_out) / seconds["ours"])),
        largest_accuracy_bound=float(found.accuracy.max()),
        largest_difference=float(max(wrong)),
    )


def test_scaling(benchmark):
    """Exponents of time in n, d, t and the number of starts, fitted on a logarithmic scale (float32)."""
    grids = {
        "n": [(n, 100, 60, 1) for n in (200, 400, 800)],
        "d": [(400, d, 60, 1) for d in (50, 100, 200, 400)],
        "t": [(300, 50, t, 1) for t in (100, 400, 1600)],
        "starts": [(150, 40, 100, s) for s in (2, 8, 32)],
    }
    works = {}
    for factor, points in grids.items():
        for place, (n, d, t, starts) in enumerate(points):
            x, y = data(n, d)
            start = np.random.default_rng(2).normal(size=(starts, d))
            works[f"{factor}{place}"] = lambda x=x, y=y, t=t, start=start: leave_one_out(
                x, y, steps=t, start=start, dtype="float32", audit=0, path="fused"
            )
    seconds = taking_turns(benchmark, 3, **works)
    exponents = {}
    for factor, points in grids.items():
        sizes = [point["ndt".index(factor) if factor != "starts" else 3] for point in points]
        times = [statistics.median(seconds[f"{factor}{place}"]) for place in range(len(points))]
        exponents[factor] = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    report(benchmark, **exponents)


def test_memory_cap(benchmark):
    """n = 5000, d = 1000 in a process of its own: what the engine adds to the peak, beside the cap of 512 MB."""
    code = (
        "import re\nimport numpy as np, torch\n"
        "from stabilitybench.theory import leave_one_out\n"
        # VmHWM, since ru_maxrss of a child begins at its parent's
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "rng = np.random.default_rng(0)\n"
        "x, y = rng.normal(size=(5000, 1000)), rng.integers(0, 2, 5000)\n"
        "leave_one_out(x[:20, :5], y[:20], steps=2)\n"
        "before = peak()\n"
        "leave_one_out(x, y, steps=[1, 2], dtype='float32', max_memory=512 << 20)\n"
        "print(peak() - before)\n"
    )
    added = []

    def run():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        added.append(float(done.stdout))

    benchmark.pedantic(run, rounds=1)
    report(benchmark, added_megabytes=added[-1], cap_megabytes=512)
