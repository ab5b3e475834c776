"""The page on statistics shows code that runs, and the numbers it prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_the_example_runs_and_gives_the_numbers_beside_it() -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    names: dict[str, Any] = {}
    exec(code, names)
    ratio = names["sd_ratio"](names["arm"], names["baseline"])
    said = [float(n) for n in re.search(r"estimate=([\d.]+), low=([\d.]+), high=([\d.]+)", code).groups()]
    assert [ratio.estimate, ratio.low, ratio.high] == pytest.approx(said, abs=0.005)
