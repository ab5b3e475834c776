"""Watching a study or suites run: a bar with an ETA in a terminal, a line every tenth in a log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from stabilitybench.printing import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task as Line

    from stabilitybench.studies import Study

#: A log gets a line each time this share of the runs has ended.
LOG_EVERY = 0.1


class Bar:
    """A `Progress` of `stabilitybench.storage.pool`: it prints to a console and changes nothing.

    Parameters
    ----------
    console : Console
        Gets a bar if it is a terminal, else a line for each tenth.
    headline : str
        One or more lines, printed once, above.
    stages : sequence of str, default ("running",)
        What `start` begins, in turn.
    unit : str, default "run"
        What is counted, in the singular.
    clock : callable, default time.monotonic
        Returns seconds that only grow; the tests bring their own.
    """

    def __init__(
        self,
        console: Console,
        headline: str,
        stages: Sequence[str] = ("running",),
        unit: str = "run",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._clock, self._unit = console, clock, unit
        self._headline: str | None = headline
        self._stages = list(stages)
        self._bar: Progress | None = None

    @classmethod
    def of_study(cls, console: Console, study: Study, clock: Callable[[], float] = time.monotonic) -> Bar:
        """Return the bar of a study, with what its seeds can show above it, and a stage for its tuning if it has one.

        Parameters
        ----------
        console : Console
            As for the class.
        study : Study
            Gives headline and stages.
        clock : callable, default time.monotonic
            As for the class.
        """
        from stabilitybench.planning.seed_lines import seed_lines

        headline = "\n".join([study.headline, *seed_lines(study.file)])
        return cls(console, headline, ["tuning", "running"] if study.file.tune else ["running"], clock=clock)

    def start(self, total: int, done: int, workers: int) -> None:
        """Begin a stage; the last one is begun again if there is no other."""
        if self._headline is not None:
            for line in self._headline.splitlines():
                self._console.print(Text(printable(line)), soft_wrap=True)
            self._headline = None
        self._stage = self._stages.pop(0) if len(self._stages) > 1 else self._stages[0]
        self._total, self._done, self._before, self._workers = total, done, done, workers
        self._ended: Counter[str] = Counter()
        self._began = self._latest = self._clock()
        self._logged = done
        if done == total:
            self._console.print(Text(f"{self._stage}: all {_count(total, self._unit)} are in the store already"))
        elif self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                _Tail(self._tail),
                console=self._console,
            )
            self._line = self._bar.add_task(self._stage, total=total, completed=done)
            self._bar.start()
        else:
            kept = f", {done} in the store already" if done else ""
            self._console.print(Text(f"{self._stage}: {_count(total - done, self._unit)} to do{kept}, {self._crew()}"))

    def finished(self, run_id: str, status: str) -> None:
        """Count a run that has ended."""
        self._done += 1
        self._ended[status] += 1
        self._latest = self._clock()
        if self._bar is not None:
            self._bar.update(self._line, completed=self._done)
        elif self._done == self._total or self._done - self._logged >= LOG_EVERY * self._total:
            self._logged = self._done
            self._console.print(Text(f"{self._stage} {self._done}/{self._total}  {self._tail()}"))

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(Text(printable(text), style="yellow"))

    def end(self) -> None:
        """Leave the bar standing and stop redrawing it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _tail(self) -> str:
        """Return workers, what went wrong so far, and the time left."""
        wrong = [f"{self._ended[status]} {status}" for status in ("crashed", "timeout") if self._ended[status]]
        failed = self._ended["failed"] + self._ended["diverged"]
        return "  ".join([self._crew(), *([f"{failed} failed"] if failed else []), *wrong, f"ETA {self.eta()}"])

    def eta(self) -> str:
        """Return the time left as ``m:ss``, judged by the runs that ended in this session; unknown before the first."""
        fresh = self._done - self._before
        if self._done >= self._total:
            return "0:00"
        if fresh == 0:
            return "-:--"
        each = (self._latest - self._began) / fresh
        left = max(0.0, each * (self._total - self._done) - (self._clock() - self._latest))
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

    def _crew(self) -> str:
        return _count(self._workers, "worker")


class _Tail(TextColumn):
    """The words behind the bar, asked for anew at each redraw, so that the ETA counts down."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__("")
        self._words = words

    def render(self, task: Line) -> Text:
        return Text(self._words())


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
