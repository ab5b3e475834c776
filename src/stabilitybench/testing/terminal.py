"""What the battery found of a stabilizer, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.testing.conformance import Conformance

if TYPE_CHECKING:
    from rich.console import Console


def print_conformance(found: Conformance, console: Console) -> None:
    """Print a line per check, then the cost.

    Parameters
    ----------
    found : Conformance
        As `check_stabilizer` returns it.
    console : rich.console.Console
        Where it is printed.
    """
    from rich.table import Table
    from rich.text import Text

    console.print(Text(found.name, style="bold"))
    grid = Table.grid(padding=(0, 2))
    for f in found.findings:
        grid.add_row(Text("passes" if f.ok else "FAILS", style="green" if f.ok else "bold red"), f.check, Text(f.text))
    console.print(grid)
    if found.time_ratio is not None and found.memory_ratio is not None:
        console.print(
            f"cost: {found.time_ratio:.2f} times the CPU time of a plain step (on a tiny encoder: a rough figure), "
            f"{found.memory_ratio:.2f} times the memory of weights, gradients and states"
        )
    console.print()
