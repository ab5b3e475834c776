"""Pretraining an embedded encoder again, with a bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from stabilitybench.argument_checks import whole
from stabilitybench.encoders.pretraining import pretrain
from stabilitybench.encoders.specification import SPECS
from stabilitybench.errors import Argument, UserError, suggest

if TYPE_CHECKING:
    from rich.console import Console


def pretrain_with_progress(encoder: str, out: Path, steps: int | None, console: Console) -> None:
    """Pretrain an embedded encoder again and say how good it became.

    Parameters
    ----------
    encoder : str
        Its name, ``pocket/...``.
    out : Path
        A new folder.
    steps : int or None
        Where to stop, at least 1; None takes all steps of its specification.
    console : Console
        Gets a bar if it is a terminal, else a line for each tenth.

    Raises
    ------
    UserError
        For an encoder that is not known, a folder that exists, or fewer steps than 1.
    """
    known = [f"pocket/{name}" for name in SPECS]
    if encoder not in known:
        raise UserError(f'encoder "{encoder}": must be one of {", ".join(known)}{suggest(encoder, known)}')
    if out.exists():
        raise UserError(Argument("out", out), ": exists already; give a folder that does not")
    if steps is not None:
        whole("steps", steps, "must be at least 1", lambda n: n >= 1)
    spec = SPECS[encoder.removeprefix("pocket/")]
    total = spec.steps if steps is None else min(steps, spec.steps)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
    )
    logged = 0
    with bar:
        line = bar.add_task("pretraining", total=total, loss="-")

        def progress(step: int, loss: float) -> None:
            nonlocal logged
            bar.update(line, completed=step, loss=f"{loss:.3f}")
            if not console.is_terminal and (step == total or step - logged >= total / 10):
                logged = step
                console.print(Text(f"pretraining {step}/{total}  loss {loss:.3f}"))

        report = pretrain(spec, out, progress=progress, steps=steps)
    accuracy = report.next_sentence_accuracy
    pairs = "" if accuracy is None else f", next-sentence accuracy {100 * accuracy:.1f}"
    console.print(
        Text(
            f"{report.folder}: {report.parameters / 1e6:.1f}M parameters, held-out loss "
            f"{report.held_out_loss:.3f} nats per masked word{pairs}, {report.seconds:.0f} s"
        ),
        soft_wrap=True,
    )
