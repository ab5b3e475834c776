"""Declared looks: what may stand in a study file, that no run depends on them, and the price of undeclared ones."""

from __future__ import annotations

import json

import pytest

from stabilitybench.errors import UserError
from stabilitybench.statistics.looks import undeclared_error
from stabilitybench.studies import Study
from stabilitybench.studies.file import parse
from stabilitybench.studies.looks import price_of_looks

STUDY = {
    "name": "demo",
    "encoders": ["pocket/bert-small"],
    "tasks": ["pocket/sentiment"],
    "seeds": 10,
    "baseline": "plain",
    "arms": {"plain": [], "reinit": ["reinit"]},
}
LOOKS = {"sizes": [10, 20]}


def opened(folder, seeds: int, **changes) -> Study:
    return Study.from_dict({**STUDY, "seeds": seeds, **changes}, store=folder / "store", results=folder / "results")


def noted(study: Study) -> list[str]:
    """Do what `run` does about the study's folder, without the training."""
    study._prepare_folders()
    notes = study.claim_name()
    study._record(None, notes)
    return notes


def test_looks_stand_in_the_file_and_no_run_depends_on_them(tmp_path) -> None:
    plain, looking = opened(tmp_path, 20), opened(tmp_path, 20, looks={**LOOKS, "bounds": "obrien-fleming"})
    assert [run.spec.id for run in plain.plan()] == [run.spec.id for run in looking.plan()]
    assert looking.file.plain()["looks"] == {"sizes": [10, 20], "bounds": "obrien-fleming"}
    assert parse(looking.file.plain()) == looking.file
    assert "looks" not in plain.file.plain()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"looks": {"sizes": [20, 10]}}, r"looks.sizes = \[20, 10\]: must be numbers of seeds from 2 that ascend"),
        ({"looks": {"sizes": [1, 10]}}, r"looks.sizes = \[1, 10\]: must be numbers of seeds from 2 that ascend"),
        ({"looks": {"sizes": [10]}}, r"looks.sizes"),
        ({"looks": {"sizes": [10, 20.5]}}, r"looks.sizes\[1\]"),
        ({"looks": {"sizes": [8, 20]}}, r"seeds = 10: must be one of the declared looks, looks.sizes: 8, 20"),
        ({"looks": LOOKS, "seeds": {"init": 5, "order": 2}}, r"seeds = .*: must be one of the declared looks"),
        ({"looks": {**LOOKS, "bounds": "haybittle"}}, r"looks.bounds = \"haybittle\""),
        ({"looks": {**LOOKS, "spending": "pocock"}}, r"looks.spending: unknown key; must be one of sizes, bounds"),
        ({"looks": {}}, r"looks.sizes: is missing"),
    ],
)
def test_looks_that_cannot_be_get_one_sentence(changes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse({**STUDY, **changes})


def test_going_on_to_a_declared_look_is_no_news(tmp_path) -> None:
    assert noted(opened(tmp_path, 10, looks=LOOKS)) == []
    assert noted(opened(tmp_path, 20, looks=LOOKS)) == []


def test_undeclared_looks_are_noted_with_their_price(tmp_path) -> None:
    assert noted(opened(tmp_path, 10)) == []
    (raised,) = noted(opened(tmp_path, 15))
    assert raised.startswith("seeds were raised from 10 to 15 after results were seen (")
    assert raised.endswith(price_of_looks([10, 15]))
    again = noted(opened(tmp_path, 30))
    assert again[0] == raised
    assert again[1].endswith(price_of_looks([10, 15, 30]))
    assert noted(opened(tmp_path, 30)) == again
    known = json.loads((tmp_path / "results" / "demo" / "study.json").read_text())
    assert known["looked_at"] == [10, 15]


def test_looks_cannot_be_declared_after_one(tmp_path) -> None:
    noted(opened(tmp_path, 10))
    with pytest.raises(UserError, match=r"a different study .*looks"):
        opened(tmp_path, 20, looks=LOOKS).claim_name()


def test_the_price_is_the_error_over_all_looks() -> None:
    price = f"{100 * undeclared_error([8, 12, 40]):.1f} %"
    assert f"undeclared looks at 8, 12 and 40 seeds: a test at 5 % errs in {price} of studies" in price_of_looks(
        [8, 12, 40]
    )
    assert price_of_looks([1, 3, 20]) == ""  # with so few seeds nothing could be claimed


def test_looks_of_any_number_and_distance_have_a_price() -> None:
    """Raising seeds is told, never refused: by a factor of 250, and after more looks than may be declared."""
    assert "5 and 1250 seeds" in price_of_looks([5, 1250])
    assert price_of_looks(range(4, 64)).startswith("undeclared looks at 44, ")
