"""The page on the Trainer: its example runs, and its table is that of the catalogue."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch

from stabilitybench.encoders.silence import quiet
from stabilitybench.stabilizers import catalogue
from support.trainers import REFUSED

PAGE = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text("utf-8")


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert "dataloader_pin_memory" not in example
    printed = StringIO()
    with quiet(), torch.random.fork_rng(devices=[]), redirect_stdout(printed):
        exec(compile(example, "docs/trainer.md", "exec"), {})
    assert "eval_loss" in printed.getvalue()


def test_the_table_is_the_catalogues() -> None:
    table = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (\w+) \|", PAGE, flags=re.MULTILINE))
    shipped = [n for n, cls in catalogue().items() if cls.__module__.startswith("stabilitybench.stabilizers.")]
    assert table == {name: "refused" if name in REFUSED else "equal" for name in shipped}
