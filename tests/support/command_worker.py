"""A process that does one command after another, told and answering in lines of JSON: imports are paid for once.

What each command writes is caught where the system sees it, so nothing that a library prints is missed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

#: Seconds of silence after which a command counts as hanging, and of CPU that it may take.
PATIENCE, CPU = 120, 10
#: Memory that a command may ask for beyond what the imports took.
MEMORY = 10**9
#: What commands import late; a library's code is no memory that a bad input asked for.
IMPORTED = (
    "torch",
    "transformers.models.bert.modeling_bert",
    "transformers.models.auto.modeling_auto",
    "tokenizers",
    "sklearn.metrics",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "matplotlib.backends.backend_svg",
    "joblib",
    "stabilitybench.comparison.study_report",
    "stabilitybench.comparison.file_comparison",
    "stabilitybench.suites.report",
    "stabilitybench.suites.certificate",
    "stabilitybench.planning.plan",
    "stabilitybench.claims.page",
    "stabilitybench.testing",
)


class Worker:
    """Runs commands in a process of its own, which is replaced once one of them hangs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, args: Sequence[str]) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps([str(folder), list(args)]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not answer:
            self.close()
            return {"code": process.returncode, "out": "", "err": "hung, or died", "cpu": 0.0}
        return dict(json.loads(answer))

    def close(self) -> None:
        if self._process is not None:
            with self._process:  # closes its pipes, and waits
                pass
            self._process = None


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    for module in IMPORTED:
        import_module(module)
    from stabilitybench.cli import main

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for line in sys.stdin:
        folder, args = json.loads(line)
        os.chdir(folder)
        sys.argv = ["stabilitybench", *args]
        caught = [os.open(f"{folder}/.{name}", os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in ("out", "err")]
        for place, handle in zip((1, 2), caught, strict=True):
            os.dup2(handle, place)
        began = time.process_time()
        try:
            main()
            code: Any = 0
        except SystemExit as stop:
            code = stop.code or 0
        cpu = time.process_time() - began
        sys.stdout.flush()
        sys.stderr.flush()
        said = {}
        for name, handle in zip(("out", "err"), caught, strict=True):
            os.lseek(handle, 0, os.SEEK_SET)
            said[name] = os.read(handle, 10**6).decode("utf-8", "surrogateescape")
            os.close(handle)
        answers.write(json.dumps({"code": code, "cpu": cpu, **said}) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
