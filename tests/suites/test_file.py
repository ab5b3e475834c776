"""The suite file: what is shipped, and one clear sentence for everything that may not stand in one."""

import pytest

from stabilitybench.errors import UserError
from stabilitybench.suites.file import FACTORS, find_suites, parse_suite, read_suite, shipped_suites

GOOD = {
    "name": "mine",
    "title": "A title",
    "factor": "n",
    "about": "About.",
    "generator": "separable-ball",
    "datasets": 2,
    "parameters": {"d": 3},
    "vary": {"n": [8, 16]},
    "measure": {"kind": "head", "steps": 10, "bounds": ["B3 one run"]},
}


def test_the_shipped_suites_are_whole():
    files = find_suites(["all"])
    assert {f.name for f in files} == set(shipped_suites())
    assert sum(f.count * f.datasets for f in files) >= 500
    assert {f.factor for f in files} == set(FACTORS)
    assert len({(f.generator, *sorted(f.parameters_at(k).items()), s) for f in files for k in range(f.count)
                for s in range(f.datasets)}) >= 500  # fmt: skip
    for file in files:
        assert file.measure.bounds, file.name
        assert file.predictions or file.count == 1, file.name


def test_defaults_are_filled_in_and_what_moves_along_is_zipped():
    file = parse_suite({**GOOD, "vary": {"radius": [2.0, 1.0], "margin": [0.1, 0.2], "rate": [1.0, 0.5]},
                        "parameters": {"n": 8, "d": 3}})  # fmt: skip
    assert file.axis == "radius"
    assert file.parameters_at(1) == {"n": 8, "d": 3, "margin": 0.2, "radius": 1.0}
    assert [file.settings_at(k).rate for k in (0, 1)] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": "ball"}, 'generator = "ball": must be one of common-minimiser, '),
        ({"generator": "seperable-ball"}, 'did you mean "separable-ball"?'),
        ({"factor": "size"}, 'factor = "size": must be one of n, t, gamma, '),
        ({"datasets": 0}, "datasets = 0: must be at least 1"),
        ({"datasets": "2"}, 'datasets = "2": must be a whole number'),
        ({"colour": 1}, "colour: unknown key; must be one of name, "),
        ({"vary": {}}, "vary = {}: "),
        ({"vary": {"n": []}}, "vary.n: must list at least one value"),
        ({"vary": {"n": [8, 8]}}, "vary.n = [8, 8]: names a value twice"),
        ({"vary": {"n": [8, 16], "margin": [0.1]}}, "vary.margin: lists 1 values, vary.n 2: must be as many"),
        ({"vary": {"m": [8, 16]}}, "vary.m: unknown key; must be one of n, d, margin, radius, steps, rate, "),
        ({"vary": {"n": [1, 8]}}, "separable-ball: n = 1: must lie in [2, "),
        ({"vary": {"n": [8.5]}}, "separable-ball: n = 8.5: must be a whole number"),
        ({"vary": {"n": [float("nan")]}}, "vary.n[0] = nan: must be a finite number"),
        ({"vary": {"n": ["8"]}}, "vary.n[0] = "),
        ({"parameters": {}}, "parameters.d: is missing; must lie in [1, 100000]"),
        ({"parameters": {"d": 3, "depth": 1}}, "parameters.depth: unknown key; must be one of n, d, margin, radius"),
        ({"measure": {"kind": "hed"}}, 'measure.kind = "hed": must be one of head, max-margin, full, common-minimiser'),
        (
            {"measure": {"kind": "head", "bounds": ["B9"]}},
            'measure.bounds: "B9": with kind = "head" must be one of B1 ',
        ),
        ({"measure": {"kind": "head", "rate": 0.0}}, "measure.rate = 0.0: must be above 0"),
        ({"measure": {"kind": "head", "starts": 1}}, "measure.starts = 1: must be 0 (not measured) or at least 2"),
        ({"measure": {"kind": "head", "weight": "n"}}, "measure.weight = \"n\": must be '1/n' or '1/(n-1)'"),
        ({"measure": {"kind": "head", "speed": 1}}, "measure.speed: unknown key; must be one of kind, steps, "),
        ({"vary": {"rate": [1.0, -1.0]}, "parameters": {"n": 8, "d": 3}}, "vary.rate = -1.0: must be above 0"),
        ({"predictions": [{"quantity": "size", "direction": "falls", "by": "me"}]}, "predictions[0].quantity = "),
        ({"predictions": [{"quantity": "data", "direction": "down", "by": "me"}]}, 'predictions[0].direction = "down"'),
        ({"name": "a/b"}, 'name = "a/b": must start with a letter or digit'),
    ],
)
def test_bad_suites_name_the_key_the_value_and_what_is_allowed(changes, words):
    with pytest.raises(UserError) as error:
        parse_suite({**GOOD, **changes})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_names_are_shipped_suites_all_or_files(tmp_path):
    with pytest.raises(UserError, match='suite "heat-n": must be all, the path of a'):
        find_suites(["heat-n"])
    with pytest.raises(UserError, match="there is no such suite file"):
        find_suites([str(tmp_path / "nowhere.toml")])
    [file] = find_suites(["head-n", "head-n"], ["datasets=2"])
    assert (file.name, file.datasets) == ("head-n", 2)
    twin = tmp_path / "twin.toml"
    twin.write_text(shipped_suites()["head-n"].read_text().replace("steps = 1000", "steps = 10"))
    with pytest.raises(UserError, match='two different suites are named "head-n"'):
        find_suites(["head-n", str(twin)])


def test_a_file_that_is_no_toml_is_one_sentence(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("name = ")
    with pytest.raises(UserError, match="is not valid TOML"):
        read_suite(path)
