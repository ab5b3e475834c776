"""The public door: what it offers, and that opening it costs nothing."""

import subprocess
import sys

import pytest

import stabilitybench as sb

HEAVY = ("torch", "transformers", "datasets", "pandas", "matplotlib", "sklearn", "scipy", "statsmodels")
LOADED = f"; import sys; print([name for name in {HEAVY} if name in sys.modules])"


def heavy_modules_after(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code + LOADED], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import stabilitybench",
        "import stabilitybench as sb; sb.UserError, sb.Recipe, sb.Seeds, sb.__version__",
        "from stabilitybench import Stabilizer, register, build; build('reinit')",
        "from stabilitybench.cli import app; app(['--help'], standalone_mode=False)",
        "from stabilitybench.cli import app; app(['run', '--help'], standalone_mode=False)",
    ],
)
def test_no_heavy_library_is_imported_before_it_is_needed(code):
    assert heavy_modules_after(code) == "[]"


def test_the_check_above_can_fail():
    assert "torch" in heavy_modules_after("from stabilitybench.finetuning import finetune")


def test_every_public_name_is_there_and_is_the_thing_itself():
    from stabilitybench.finetuning import finetune
    from stabilitybench.studies import Study

    assert sb.Study is Study
    assert sb.finetune is finetune
    for name in sb.__all__:
        assert getattr(sb, name) is not None
        assert name in dir(sb)


def test_dir_shows_what_is_ours_and_nothing_else():
    assert dir(sb) == sorted(sb.__all__)
    code = "import stabilitybench as sb, stabilitybench.errors; sb.Recipe; print(set(dir(sb)) ^ set(sb.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_lazy_names_are_those_that_type_checkers_see():
    assert set(sb._PUBLIC) | {"__version__"} == set(sb.__all__)
    assert list(sb.__all__) == sorted(sb.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'Studdy'"):
        _ = sb.Studdy


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert sb.__version__ == version("stabilitybench")
