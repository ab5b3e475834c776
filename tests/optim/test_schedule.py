"""Schedules against transformers and against the formula of Howard & Ruder (2018)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import get_constant_schedule_with_warmup, get_linear_schedule_with_warmup

from stabilitybench.optim.schedule import multiplier


def of_transformers(schedule: str, total: int, warmup: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steps = int(warmup * total)
    if schedule == "linear":
        scheduler = get_linear_schedule_with_warmup(optimizer, steps, total)
    else:
        scheduler = get_constant_schedule_with_warmup(optimizer, steps)
    rates = []
    for _ in range(total):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["linear", "constant"])
@settings(deadline=None, derandomize=True, max_examples=40)
@given(total=st.integers(1, 120), warmup=st.floats(0, 0.99))
def test_schedules_are_those_of_transformers(schedule: str, total: int, warmup: float) -> None:
    mine = [multiplier(schedule, s, total, warmup) for s in range(total)]
    assert mine == pytest.approx(of_transformers(schedule, total, warmup), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize(("total", "warmup"), [(100, 0.1), (50, 0.5), (10, 0.2), (1000, 0.1)])
def test_slanted_is_the_formula_of_howard_and_ruder(total: int, warmup: float) -> None:
    cut, ratio = int(total * warmup), 32
    for t in range(total):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / warmup - 1))
        assert multiplier("slanted", t, total, warmup) == pytest.approx((1 + p * (ratio - 1)) / ratio, rel=1e-12)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    schedule=st.sampled_from(["linear", "constant", "slanted"]), total=st.integers(1, 200), warmup=st.floats(0, 0.999)
)
def test_every_multiplier_lies_in_the_unit_interval_and_the_peak_is_reached(
    schedule: str, total: int, warmup: float
) -> None:
    values = [multiplier(schedule, s, total, warmup) for s in range(total)]
    assert all(0 <= v <= 1 for v in values)
    rising = int(warmup * total)
    assert values[rising] == 1.0
    assert values[:rising] == sorted(values[:rising])
    assert values[rising:] == sorted(values[rising:], reverse=True)


@pytest.mark.parametrize("schedule", ["linear", "constant", "slanted"])
def test_no_warmup_starts_at_the_peak(schedule: str) -> None:
    assert multiplier(schedule, 0, 7, 0.0) == 1.0


def test_one_step_without_warmup_still_learns() -> None:
    assert [multiplier("linear", 0, 1, 0.1), multiplier("slanted", 0, 1, 0.1)] == [1.0, 1.0]
