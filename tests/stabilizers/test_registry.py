"""Finding stabilizers by name, building them from a study file's values, and loading a user's own file."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stabilitybench.errors import UserError
from stabilitybench.stabilizers import (
    Stabilizer,
    build,
    catalogue,
    load_file,
    loaded_files,
    register,
    registry,
    source_fingerprint,
)
from stabilitybench.stabilizers.reinit import ReInit


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    catalogue()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_FILES", dict(registry._FILES))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("stabilitybench_user_"):
            del sys.modules[name]


def test_the_shipped_methods() -> None:
    assert {"bert-adam", "debiased-adam", "freeze", "reinit"} <= set(catalogue())
    assert list(catalogue()) == sorted(catalogue())


@pytest.mark.parametrize("name", catalogue())
def test_defaults_build_and_describe_themselves(name: str) -> None:
    method = build(name)
    assert method == build(name)
    assert hash(method) == hash(build(name))
    assert method.parameters() == {}
    assert source_fingerprint(method) is None
    assert type(method).version >= 1


@pytest.mark.parametrize("version", [0, True, "2", 1.5])
def test_a_version_is_a_whole_number(version: Any) -> None:
    mine = dataclass(frozen=True)(type("Mine", (Stabilizer,), {"version": version}))
    with pytest.raises(UserError, match=r'^stabilizer "mine": version = .*: must be a whole number, at least 1$'):
        register("mine")(mine)


def test_on_device_is_a_flag() -> None:
    mine = dataclass(frozen=True)(type("Mine", (Stabilizer,), {"on_device": "yes"}))
    with pytest.raises(UserError, match=r'^stabilizer "mine": on_device = .yes.: must be of the type bool$'):
        register("mine")(mine)


def test_a_version_is_no_parameter() -> None:
    with pytest.raises(UserError, match="the field version has the name of a part of the contract"):

        @register("mine")
        @dataclass(frozen=True)
        class Mine(Stabilizer):
            version: int = 2


def test_parameters_are_those_that_differ_from_the_defaults() -> None:
    method = build("reinit", {"layers": 3, "pooler": False})
    assert method == ReInit(layers=3, pooler=False)
    assert method.parameters() == {"layers": 3, "pooler": False}
    assert method.describe() == "reinit(layers=3, pooler=False)"
    assert build("reinit", {"layers": 1}).parameters() == {}, "a default, spelled out, is the same run"


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("renit", {}, 'stabilizer "renit" is unknown: must be one of'),
        ("renit", {}, 'did you mean "reinit"?'),
        ("", {}, 'stabilizer "" is unknown'),
        ("reinit", {"layer": 1}, "reinit.layer is unknown: must be one of layers, pooler"),
        ("reinit", {"name": "x"}, "reinit.name is unknown"),
        ("reinit", {"order": 1}, "reinit.order is unknown"),
        ("debiased-adam", {"x": 1}, "debiased-adam.x is unknown: must be one of none: it takes no parameters"),
        ("reinit", {"layers": "5"}, 'reinit.layers = "5": must be'),
        ("reinit", {"layers": 1.5}, "reinit.layers = 1.5: "),
        ("reinit", {"layers": True}, "reinit.layers = true: must be"),
        ("reinit", {"layers": None}, "reinit.layers = None: "),
        ("reinit", {"layers": [1]}, "reinit.layers = [1]: "),
        ("reinit", {"layers": float("nan")}, "reinit.layers = nan: "),
        ("reinit", {"layers": object()}, "must be a number, a text, or a list of them"),
        ("reinit", {"layers": -1}, "reinit.layers = -1: must be at least 0"),
        ("reinit", {"pooler": "yes"}, 'reinit.pooler = "yes": must be true or false'),
        ("freeze", {"layers": -1}, "freeze.layers = -1: must be at least 0"),
        ("bert-adam", {"variant": "torch"}, 'bert-adam.variant = "torch": must be'),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name: str, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        build(name, parameters, where="arms.a[0]")
    assert str(caught.value).startswith("arms.a[0]: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Mixout", "mix out", "-a", "a-", "a--b", "a_b", "", "ä", "a\n"])
def test_names_are_lower_case_words_joined_by_hyphens(name: str) -> None:
    with pytest.raises(UserError, match="must be lower-case words joined by hyphens"):
        register(name)(ReInit)


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(
        UserError, match=r'"reinit" is already registered by stabilitybench\.stabilizers\.reinit\.ReInit'
    ):

        @register("reinit")
        @dataclass(frozen=True)
        class Mine(Stabilizer):
            """Mine."""

    assert catalogue()["reinit"] is ReInit


def test_only_frozen_stabilizers_are_registered() -> None:
    with pytest.raises(UserError, match="must be a class derived from"):
        register("mine")(int)  # type: ignore[type-var]
    with pytest.raises(UserError, match=r"must be decorated with @dataclass\(frozen=True\)"):

        @register("mine")
        @dataclass
        class Mutable(Stabilizer):
            """Mine."""

    with pytest.raises(UserError, match=r"must be decorated with @dataclass\(frozen=True\)"):

        @register("mine")
        class Bare(Stabilizer):
            """Mine."""

    assert "mine" not in catalogue()


GOOD = '''
from __future__ import annotations
from dataclasses import dataclass
from stabilitybench.stabilizers import Stabilizer, register

@register("gentle")
@dataclass(frozen=True)
class Gentle(Stabilizer):
    """Scale every rate."""

    factor: float = 0.5
    places: tuple[str, ...] = ()

    def rate(self, name, ctx):
        return self.factor
'''


def write(folder: Path, text: str | bytes, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_of_ones_own_is_loaded_built_and_fingerprinted(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert load_file(path) == ["gentle"]
    method = build("gentle", {"factor": 1, "places": ["head"]})
    assert method.parameters() == {"factor": 1.0, "places": ("head",)}
    assert str(path) in loaded_files()
    assert source_fingerprint(method) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_file(path) == ["gentle"], "loading it again is no duplicate"


def test_a_changed_file_replaces_its_own_class(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    load_file(path)
    write(tmp_path, GOOD.replace("0.5", "0.25"))
    load_file(path)
    assert build("gentle").factor == 0.25  # type: ignore[attr-defined]


def test_two_files_cannot_share_a_name(tmp_path: Path) -> None:
    load_file(write(tmp_path, GOOD))
    with pytest.raises(UserError, match='"gentle" is already registered'):
        load_file(write(tmp_path, GOOD, "other.py"))


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "syntax error": ("def (", "fails on import: SyntaxError"),
    "name error": ("nonsense", "fails on import: NameError: name 'nonsense' is not defined"),
    "missing import": ("import no_such_module_at_all", "fails on import: ModuleNotFoundError"),
    "exit": ("raise SystemExit(0)", "fails on import: SystemExit"),
    "binary": (b"\x00\xff\x00", "fails on import: "),
    "empty": ("", "registers no stabilizer; decorate a class with"),
    "steals a name": (GOOD.replace("gentle", "reinit"), '"reinit" is already registered'),
    "no frozen dataclass": (GOOD.replace("(frozen=True)", ""), "must be decorated with @dataclass(frozen=True)"),
    "long message": ("raise ValueError('first\\nsecond')", "fails on import: ValueError: first"),
    "breaks after registering": (GOOD + "\n1 / 0\n", "fails on import: ZeroDivisionError"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_sentence_and_leaves_nothing_behind(tmp_path: Path, case: str) -> None:
    text, sentence = BROKEN[case]
    before, modules = catalogue(), set(sys.modules)
    with pytest.raises(UserError) as caught:
        load_file(write(tmp_path, text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert catalogue() == before
    assert not {m for m in set(sys.modules) - modules if m.startswith("stabilitybench_user_")}
    assert not [f for f in loaded_files() if str(tmp_path) in f]


@pytest.mark.parametrize("name", ["absent.py", "mine.txt", "."])
def test_only_existing_python_files_are_loaded(tmp_path: Path, name: str) -> None:
    write(tmp_path, GOOD, "mine.txt")
    with pytest.raises(UserError, match="must be an existing Python file"):
        load_file(tmp_path / name)


def test_a_required_parameter_left_out_is_named(tmp_path: Path) -> None:
    load_file(write(tmp_path, GOOD.replace("factor: float = 0.5", "factor: float")))
    with pytest.raises(UserError, match=r"gentle.*factor"):
        build("gentle")
