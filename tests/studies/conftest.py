"""A small study on the tiny encoder, as a file."""

import pytest

STUDY = """
name = "tiny"
encoders = ["{encoder}"]
tasks = ["file:{task}"]
seeds = {seeds}
baseline = "bert-adam"

[recipe]
learning_rate = 1e-3
steps = 3
batch_size = 4
evaluations = 2

[arms]
bert-adam = ["bert-adam"]
debiased = []
"""


@pytest.fixture
def write_study(tmp_path, tiny_bert, tiny_task):
    """Return a function that writes a study file and returns its path."""

    def write(seeds="3", extra="", task=tiny_task, name="study.toml"):
        path = tmp_path / name
        path.write_text(STUDY.format(encoder=tiny_bert, task=task, seeds=seeds) + extra)
        return path

    return write


@pytest.fixture
def open_study(tmp_path):
    """Return a function that reads a study file into folders of this test."""
    from stabilitybench.studies import Study

    def read(path, *overrides):
        return Study.from_file(path, overrides, store=tmp_path / "store", results=tmp_path / "results")

    return read
