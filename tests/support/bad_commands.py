"""Tables of scores, what is no file, suites, arguments and records that are refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from support.bad_input import DEEP, DIGITS, EVIL, LONG, BadInput, Prepare, write


def scores() -> Iterator[BadInput]:
    texts: list[str | bytes] = [
        "",
        "\n",
        "x",
        b"\xff\xfe\x00",
        "a\0",
        "score\n",
        "score\n0.5\n",
        "score\nx\ny\n",
        "score\nnan\nnan\n",
        "score\n70\n80\n",
        "score\n1e999\n0.1\n",
        f"score\n{DIGITS}\n0.1\n",
        "score,score\n1,2\n",
        "accuracy\n0.5\n0.6\n",
        f"{EVIL}\n0.5\n0.6\n",
        f"score,status\n0.5,{EVIL}\n0.6,ok\n",
        "score,failed\n0.5,perhaps\n0.6,true\n",
        "score,seed\n0.5,1\n0.6,1\n",
        "score,no_skill\n0.5,9\n0.6,9\n",
        ",".join(f"c{i}" for i in range(20_000)) + "\n",
        'score\n"0.5\n',
        "score\n0.5,1,2\n0.6\n",
        "score;task\n0.5;a\n",
        "score\n0_5\n0_6\n",
        '"' + "x" * 200_000 + '"\n1\n',
        "score,metric\n0.5,a\n0.6,b\n",
        '{"score": 1}',
        "<html>",
        "score\n" + "[" * 10_000 + "\n1\n",
        "\u202escore\n0.5\n0.6\n",
    ]
    for place, text in enumerate(texts):
        yield BadInput(f"scores {place}", ("compare", "bad.csv", "b.csv"), write("bad.csv", text))
    for place, args in enumerate(
        [
            ("a.csv",),
            ("a.csv", "a.csv"),
            ("a.csv", "none.csv"),
            ("a.csv", "~no-such-user/x.csv"),
            ("a.csv", LONG),
            ("a.csv", "enc"),
            ("a.csv", "b.csv", "--no-skill", "nan"),
            ("a.csv", "b.csv", "--no-skill", "x"),
            ("a.csv", "b.csv", "--points"),
            ("a.csv", "b.csv", "--column", EVIL),
            ("a.csv", "b.csv", "--baseline", EVIL),
            ("a.csv", "b.csv", "--out", "a.csv"),
            ("a.csv", "b.csv", "--out", LONG),
            ("a.csv", EVIL),
            ("a.csv", ""),
            ("a.csv", "/dev/null"),
        ]
    ):
        yield BadInput(f"compare {place}", ("compare", *args))


def special_files() -> Iterator[BadInput]:
    places = {
        "study.toml": ("status", "study.toml"),
        "suite.toml": ("suite", "report", "suite.toml"),
        "enc/config.json": ("inspect", "task", "--encoder", "enc"),
        "enc/tokenizer.json": ("inspect", "task", "--encoder", "enc"),
        "enc/model.safetensors": ("certify", "enc", "task"),
        "task/train.tsv": ("inspect", "task"),
        "task/dev.tsv": ("inspect", "task"),
        "bad.csv": ("compare", "bad.csv", "b.csv"),
        "mine.py": ("list", "--with", "mine.py"),
        "store/runs/0123456789abcdef/run.json": ("show", "0123"),
    }

    def spoil(place: str, make: Callable[[Path], object]) -> Prepare:
        def prepare(folder: Path) -> None:
            file = folder / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            make(file)

        return prepare

    kinds: dict[str, Callable[[Path], object]] = {
        "a pipe": lambda file: os.mkfifo(file),
        "a device": lambda file: file.symlink_to("/dev/zero"),
        "a circle": lambda file: file.symlink_to(file.name),
        "a folder": lambda file: file.mkdir(),
    }
    for place, args in places.items():
        for kind, make in kinds.items():
            yield BadInput(f"{kind} as {place}", args, spoil(place, make))
    paths = (
        "none.toml",
        "~no-such-user/x.toml",
        LONG,
        f"{LONG}.toml",
        "/dev/zero",
        "enc",
        "",
        f"{EVIL}.toml",
        "a\nb.toml",
    )
    for place, path in enumerate(paths):
        yield BadInput(f"study at {place}", ("status", path))


def suites() -> Iterator[BadInput]:
    base = {
        "name": '"mine"',
        "title": '"t"',
        "factor": '"n"',
        "about": '"x"',
        "generator": '"separable-ball"',
        "datasets": "1",
        "parameters": "{ d = 3 }",
        "vary": "{ n = [8] }",
        "measure": '{ kind = "max-margin" }',
    }
    changes = {
        "name": [None, '"a/b"', '"\\u001b"'],
        "factor": ['"luck"'],
        "generator": ['"none"', "1", '"\\u001b[1m"'],
        "datasets": ["0", "-1", "10000000", DIGITS, "nan"],
        "vary": [
            "{}",
            "{ n = [] }",
            "{ n = [8, 8] }",
            "{ n = [-1] }",
            "{ x = [1] }",
            '{ n = ["a"] }',
            f"{{ n = [{DIGITS}] }}",
            "{ n = [nan] }",
            "{ n = [8], d = [1, 2] }",
            f"{{ n = {'[' * 200}{']' * 200} }}",
        ],
        "measure": ["{}", '{ kind = "none" }', '{ kind = "max-margin", bounds = ["none"] }'],
        "parameters": ["{ q = 1 }", "{ d = -1 }"],
        "predictions": ["1", "[{}]", '[{ quantity = "luck", direction = "falls", by = "x" }]'],
    }
    for key, many in changes.items():
        for place, value in enumerate(many):
            kept = {k: v for k, v in {**base, key: value}.items() if v is not None}
            text = "\n".join(f"{k} = {v}" for k, v in kept.items()) + "\n"
            yield BadInput(f"suite {key} {place}", ("suite", "report", "suite.toml"), write("suite.toml", text))
    for place, name in enumerate(["none", "", EVIL, "none.toml", f"{LONG}.toml", "~no-such-user/x.toml", "[red]"]):
        yield BadInput(f"suite at {place}", ("suite", "run", name))


def arguments() -> Iterator[BadInput]:
    commands: list[tuple[str, ...]] = [
        ("nonsense",),
        ("list", "none"),
        ("list", EVIL),
        ("show", ""),
        ("show", "zzz"),
        ("show", "0123"),
        ("show", EVIL),
        ("show", "../../etc"),
        ("show", "0" * 300),
        ("plan", "--sd-ratio", "1"),
        ("plan", "--sd-ratio", "nan"),
        ("plan", "--seeds", "0"),
        ("plan", "--seeds", DIGITS),
        ("plan", "--power", "2"),
        ("plan", "--scores", EVIL),
        ("plan", "--failures", "2", "3"),
        ("plan", "--pilot", "none"),
        ("plan", "--pilot", "enc"),
        ("plan", "--figure", "x.exe"),
        ("plan", "--figure", f"{LONG}.svg"),
        ("plan", "--set", "a=1"),
        ("plan", "--tests", "0"),
        ("claims", "--tier", "none"),
        ("claims", "--tier", EVIL),
        ("claims", "--out", "a.csv"),
        ("pretrain", "none", "--out", "x"),
        ("pretrain", EVIL, "--out", "x"),
        ("pretrain", "pocket/bert-small", "--out", "enc"),
        ("pretrain", "pocket/bert-small", "--out", "x", "--steps", "0"),
        ("check", "none"),
        ("check", EVIL),
        ("check", "none.py"),
        ("check", "~no-such-user/x.py"),
        ("check", f"{LONG}.py"),
        ("new", "study", "study.toml"),
        ("new", "study", "enc"),
        ("certify", "enc", "none"),
        ("certify", "enc", "task", "--n", "0"),
        ("certify", "enc", "task", "--rate", "nan"),
        ("certify", "enc", "task", "--weight", EVIL),
        ("certify", "enc", "task", "--seed", "-1"),
        ("certify", "enc", "task", "--features", EVIL),
        ("certify", "enc", "task", "--steps", "0"),
        ("run",),
        ("run", "a", "b"),
        ("report", "study.toml"),
        ("run", "study.toml", "--jobs"),
        (EVIL,),
        ("--nonsense",),
        ("show", "0123", "--store", "~no-such-user"),
        ("show", "0123", "--store", LONG),
        ("new", "study", LONG),
        ("new", "study", f"{LONG}/x.toml"),
    ]
    for place, args in enumerate(commands):
        yield BadInput(f"command {place} {args[0] if args[0].isalpha() else ''}", args)


def records() -> Iterator[BadInput]:
    texts: list[str] = [
        "",
        "x",
        "[]",
        "{}",
        DEEP,
        f'{{"id": {DIGITS}}}',
        '{"id": "0123456789abcdef", "complete": true, "status": "ok"}',
        '{"id": "0123456789abcdef", "complete": true, "status": "crashed", "reason": 1}',
        '{"id": "0123456789abcdef", "complete": true, "status": []}',
    ]
    for place, text in enumerate(texts):
        yield BadInput(f"record {place}", ("show", "0123"), write("store/runs/0123456789abcdef/run.json", text))
