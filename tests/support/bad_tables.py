"""Tables of texts that are refused, and names of tasks."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from support.bad_input import DEEP, DIGITS, EVIL, LONG, BadInput, Prepare, write


def tables() -> Iterator[BadInput]:
    header = "sentence\tlabel\n"
    rows = "".join(f"a text {i}\t{i % 2}\n" for i in range(8))
    lines = "".join(json.dumps({"sentence": f"a {i}", "label": i % 2}) + "\n" for i in range(8))
    texts: dict[str, list[str | bytes]] = {
        "tsv": [
            "",
            "\n",
            b"\xff\xfe",
            "a\0b",
            header,
            "label\n0\n",
            "sentence\nx\n",
            header + "x\n",
            header + "x\t\n" * 3,
            header + "\t1\n",
            header + "x\t1\n" * 4,
            header + "x" * 1_000_001 + "\t1\n",
            "sentence\tsentence\tlabel\nx\ty\t1\n",
            header + "x\t0.5\ny\t1.5\n",
            f"sentence\tlabel\t{EVIL}\n" + rows,
            "\t".join(f"c{i}" for i in range(20_000)) + "\n",
            "sentence\tscore\n" + "x\tnan\n" * 4,
            "sentence\tscore\n" + f"x\t{DIGITS}\n" * 4,
            "sentence\tscore\nx\t1\ny\t1\n",
            f"{EVIL}\t{EVIL}\n" + rows,
            f"sentence\tlabel\nx\t{EVIL}\n" * 2,
        ],
        "csv": [
            "",
            '"',
            'sentence,label\n"x,1\n',
            "sentence,label\n" + "x" * 200_000 + ",1\n",
            "sentence,label\nx,1,2\n",
            "sentence,label\n\n\n",
            f'sentence,"{EVIL}"\nx,1\n',
        ],
        "jsonl": [
            "",
            "x",
            "[]",
            "1",
            "{}",
            '{"sentence": "x"}',
            '{"sentence": "x", "label": 1, "label": 2}',
            DEEP,
            "{" + DEEP,
            '{"sentence": "x", "label": ' + "[" * 500 + "]" * 500 + "}",
            f'{{"sentence": "x", "label": {DIGITS}}}',
            '{"sentence": 1, "label": 1}',
            '{"sentence": "\\ud800", "label": 1}',
            lines + '{"sentence": null, "label": 1}',
            lines + '{"sentence": "x", "label": []}',
            lines + '{"sentence": "x", "label": NaN}',
            "{" + ", ".join(f'"k{i}": 1' for i in range(20_000)) + "}",
            "".join(f'{{"sentence": "x", "label": 1, "k{i}": 1}}\n' for i in range(20_000)),
            json.dumps({EVIL: "x", "label": 1}),
            lines + json.dumps({"sentence": EVIL, "label": ""}),
        ],
        "parquet": [
            "",
            "x",
            b"PAR1",
            b"PAR1" + b"\0" * 100 + b"PAR1",
            b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1",
        ],
    }
    for suffix, many in texts.items():
        for place, text in enumerate(many):
            yield BadInput(f"table {suffix} {place}", ("inspect", "mine"), _task(suffix, text))
    for name, make in PARQUET.items():
        yield BadInput(f"parquet {name}", ("inspect", "mine"), _parquet(make))
    yield BadInput("labels that dev alone has", ("inspect", "mine"), _dev(f"sentence\tlabel\nx\t{EVIL}\n"))
    yield BadInput("two train files", ("inspect", "mine"), _task("tsv", header + rows, "train.csv"))
    yield BadInput("a link out of the folder", ("inspect", "mine"), lambda f: _linked(f, "/etc/passwd"))
    yield BadInput("a link in a circle", ("inspect", "mine"), lambda f: _linked(f, "train.tsv"))
    yield BadInput("a table of a terabyte", ("inspect", "mine"), _sparse)
    for place, task in enumerate(
        ["", "none", "~no-such-user", "file:", f"file:{LONG}", EVIL, "glue/", "/", LONG, "study.toml", "[red]"]
    ):
        yield BadInput(f"inspect {place}", ("inspect", task))
    yield BadInput("inspect metric", ("inspect", "task", "--metric", EVIL))


def _dev(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        write("mine/train.tsv", "sentence\tlabel\n" + "".join(f"t {i}\t{i % 2}\n" for i in range(8)))(folder)
        write("mine/dev.tsv", text)(folder)

    return prepare


def _task(suffix: str, text: str | bytes, second: str = "") -> Prepare:
    def prepare(folder: Path) -> None:
        write(f"mine/train.{suffix}", text)(folder)
        write("mine/dev.tsv", "sentence\tlabel\nx\t0\ny\t1\nz\t0\nw\t1\n")(folder)
        if second:
            write(f"mine/{second}", text)(folder)

    return prepare


def _linked(folder: Path, to: str) -> None:
    _task("csv", "")(folder)
    (folder / "mine/train.csv").unlink()
    (folder / "mine/train.tsv").symlink_to(to)


def _sparse(folder: Path) -> None:
    _task("tsv", "")(folder)
    os.truncate(folder / "mine/train.tsv", 10**12)


def _many_rows() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": pa.DictionaryArray.from_arrays(np.zeros(30_000_000, np.int8), ["x"])})


def _long_texts() -> Any:
    import pyarrow as pa

    places = np.zeros(50_000, np.int8)
    return pa.table({"sentence": pa.DictionaryArray.from_arrays(places, ["x" * 900_000]), "label": places})


def _old_times() -> Any:
    import pyarrow as pa

    far = pa.array([2**62] * 4, pa.timestamp("us"))
    return pa.table({"sentence": ["a", "b", "c", "d"], "label": far})


def _nested() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": [["a"], ["b"]], "label": [0, 1]})


def _bytes() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": [b"a", b"b"], "label": [0, 1]})


def _wide() -> Any:
    import pyarrow as pa

    return pa.table({f"c{i}": [1] for i in range(3_000)})


def _evil_names() -> Any:
    import pyarrow as pa

    return pa.table({EVIL: ["a"], "x\ny": [0]})


PARQUET: dict[str, Callable[[], Any]] = {
    "of many rows": _many_rows,
    "of long texts": _long_texts,
    "of times out of range": _old_times,
    "of lists": _nested,
    "of bytes": _bytes,
    "of many columns": _wide,
    "of evil names": _evil_names,
}


def _parquet(make: Callable[[], Any]) -> Prepare:
    def prepare(folder: Path) -> None:
        import pyarrow.parquet as pq

        _task("parquet", "")(folder)
        pq.write_table(make(), folder / "mine/train.parquet", store_schema=False)

    return prepare
