"""Study files, overrides and options that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from support.bad_input import DEEP, DIGITS, EVIL, LONG, BadInput, write

STUDY = {
    "name": '"tiny"',
    "encoders": '["enc"]',
    "tasks": '["file:task"]',
    "seeds": "2",
    "baseline": '"plain"',
    "recipe": "{ steps = 2, evaluations = 1, learning_rate = 1e-3 }",
    "arms": '{ plain = [], reinit = ["reinit"] }',
}


def study(**changes: str | None) -> str:
    kept = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    return "\n".join(f"{key} = {value}" for key, value in kept.items()) + "\n"


def study_files() -> Iterator[BadInput]:
    texts: dict[str, str | bytes] = {
        "empty": "",
        "blank": "\n\n",
        "comment": "# x",
        "binary": bytes(range(256)),
        "NUL": 'name = "\0"',
        "not toml": "a b c",
        "open bracket": "[",
        "open text": 'name = "x',
        "utf-16": "name = 1".encode("utf-16"),
        "lone surrogate": b'name = "\xed\xa0\x80"',
        "large": "#" * 1_000_001,
        "twice": study() + 'name = "b"\n',
        "deep list": f"x = {DEEP}",
        "deep closed list": f"x = {'[' * 900}{']' * 900}",
        "depth 70": study(arms="{ plain = " + "[" * 70 + "]" * 70 + " }"),
        "deep tables": "[" + ".".join(["a"] * 300) + "]\nx = 1\n",
        "deep inline": "x = " + "{a=" * 500 + "1" + "}" * 500,
        "digits": f"x = {DIGITS}",
        "hex digits": study(seeds="0x" + "f" * 5_000),
        "digits of seeds": study(seeds=DIGITS),
        "bad date": "x = 2020-99-99",
        "bad zone": "x = 2020-01-01T00:00:00+99:99",
        "escape": 'x = "\\q"',
        "many keys": "".join(f"key{i} = 1\n" for i in range(20_000)),
        "json": '{"name": "tiny"}',
        "html": "<html></html>",
        "escape characters": f'name = "{EVIL}"',
        "evil key": study() + '"\\u001b[2J" = 1\n',
        "newline in key": study() + '"a\\nb" = 1\n',
        "long key": study() + f"{'k' * 5000} = 1\n",
    }
    for name, text in texts.items():
        yield BadInput(f"study {name}", ("status", "study.toml"), write("study.toml", text))
    values: dict[str, list[str | None]] = {
        "name": [
            None,
            "1",
            '""',
            '"../up"',
            '"a/b"',
            f'"{LONG}"',
            '"\\u001b[31m"',
            '"a\\nb"',
            "[]",
            "nan",
            '"-x"',
            "{}",
        ],
        "encoders": [
            None,
            "[]",
            '"enc"',
            "[1]",
            '["nowhere/at/all"]',
            '["./none"]',
            '["~no-such-user"]',
            f'["/{LONG}"]',
            '["\\u0000"]',
            '["\\u001b[31m/x"]',
            '[{ name = "enc", revision = "main" }]',
            '["enc", "enc"]',
            "[{}]",
            '["pocket/none"]',
            f'["{"x" * 1001}"]',
            '[{ nam = "enc" }]',
            '["enc\\n/x"]',
        ],
        "tasks": [
            None,
            "[]",
            "[1]",
            '["none"]',
            '["file:none"]',
            '["file:~no-such-user"]',
            f'["file:{LONG}"]',
            '["file:\\u0000"]',
            '["file:task\\u001b]0;x\\u0007"]',
            '[{ name = "file:task", n = 1 }]',
            '[{ name = "file:task", n = 10000 }]',
            '[{ name = "file:task", metric = "beauty" }]',
            '["file:task", "file:task"]',
            '["file:enc"]',
            f'[{{ name = "file:task", n = {DIGITS} }}]',
            '["glue/none"]',
        ],
        "seeds": [
            None,
            "0",
            "-1",
            "2.5",
            '"2"',
            "true",
            "nan",
            "inf",
            "10001",
            "{}",
            "{ luck = 2 }",
            "{ init = 0 }",
            "{ init = 9999, order = 9999 }",
            "{ init = 1000, order = 1000, dropout = 1000 }",
            "[1, 2]",
        ],
        "baseline": [None, '"none"', "1", '""', '"\\u001b[0m"'],
        "arms": [
            None,
            "{}",
            "[]",
            "{ plain = 1 }",
            '{ plain = ["none"] }',
            '{ plain = [], "\\u001b[31m" = [] }',
            '{ plain = [], "a b" = [] }',
            "{ plain = [{ reinit = { layers = -1 } }] }",
            "{ plain = [{ reinit = 1 }] }",
            "{ plain = [{ mixout = { p = nan } }] }",
            '{ plain = ["mixout", "mixout"] }',
            "{ plain = [[]] }",
            f"{{ plain = [{{ reinit = {{ layers = {DIGITS} }} }}] }}",
            "{ plain = [], same = [] }",
            '{ plain = [{ "\\u001b[2J\\nx" = {} }] }',
            "{ plain = [], [red] = [] }",
        ],
        "recipe": [
            "1",
            "[]",
            "{ lr = 1 }",
            "{ learning_rate = nan }",
            "{ steps = 0 }",
            "{ batch_size = 1.5 }",
            '{ mode = "half" }',
            "{ learning_rate = 1e300 }",
            "{ steps = 1e9 }",
            '{ "\\u202e" = 1 }',
            "{ max_length = 100000000000 }",
        ],
        "tune": [
            "1",
            "{}",
            "{ grid = {} }",
            "{ grid = { steps = [] } }",
            "{ grid = { lr = [1] } }",
            "{ seeds = 0, grid = { steps = [1] } }",
            "{ grid = { steps = [" + "1," * 2000 + "], batch_size = [" + "1," * 2000 + "] } }",
            '{ scope = "all", grid = { steps = [1] } }',
            '{ grid = { mode = ["full", "half"] } }',
        ],
        "paired": ["1", '"yes"'],
    }
    for key, many in values.items():
        for place, value in enumerate(many):
            text = study(**{key: value})
            yield BadInput(f"study {key} {place}", ("status", "study.toml"), write("study.toml", text))


def overrides() -> Iterator[BadInput]:
    texts = [
        "",
        "=",
        "=1",
        "seeds",
        "seeds=",
        "seeds=two",
        ".seeds=1",
        "seeds.=1",
        "seeds..init=1",
        "name.x=1",
        "seeds=1\nname=2",
        "seeds=2\n",
        "se\neds=2",
        f"seeds={DIGITS}",
        f"x={DEEP}",
        "a." * 2000 + "b=1",
        ".".join("a" * 100) + "=1",
        f"{EVIL}=1",
        f"name={EVIL}",
        f"recipe.{LONG}=1",
        "recipe.steps=1e9",
        "recipe.steps=inf",
        "arms=1",
        "arms.new=none",
        "tasks=[]",
        "encoders=[[[[]]]]",
        'name="a/b"',
        "seeds=2020-99-99",
        "recipe.\x7f=1",
        "baseline=[red]",
    ]
    for place, text in enumerate(texts):
        yield BadInput(f"set {place}", ("status", "study.toml", "--set", text))


def options() -> Iterator[BadInput]:
    values = {
        "--jobs": ["0", "-1", "x", "", "1.5", DIGITS, "1e9"],
        "--device": ["", "gpu", "cuda:", "cuda:x", "cuda:\u00b2", f"cuda:{DIGITS}", EVIL, "cuda:-1"],
        "--timeout": ["0", "-1", "nan", "inf", "x", "", "-inf"],
        "--save": ["", "all", EVIL],
        "--shard": [
            "",
            "0/2",
            "3/2",
            "a/b",
            "1",
            "1/",
            "/2",
            "\u00b2/\u00b3",
            f"1/{DIGITS}",
            "1/2/3",
            "-1/2",
            "1\n/2",
            " 1/2",
        ],
        "--with": ["none.py", "task", "study.toml", "~no-such-user/x.py", f"{LONG}.py", "broken.py", "loop.py", ""],
        "--store": ["study.toml", LONG, "~no-such-user", f"a/{LONG}/b"],
        "--results": ["study.toml", LONG, "~no-such-user"],
        "--nonsense": ["1"],
    }

    def prepare(folder: Path) -> None:
        (folder / "broken.py").write_text("raise ValueError('\\x1b[31m' + 'x' * 9999)\n")
        (folder / "loop.py").symlink_to("loop.py")

    for option, many in values.items():
        for place, value in enumerate(many):
            yield BadInput(f"option {option} {place}", ("run", "study.toml", option, value, "--dry-run"), prepare)
