"""The table of hub tasks, and how rows of a hub dataset become a task (downloads: tests/test_hub.py)."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.tasks import task_catalogue
from stabilitybench.tasks.glue import HUB_TASKS, _class_names, _explain, _split
from stabilitybench.tasks.metrics import METRICS

#: Headline metrics as GLUE studies report them (Zhang et al. 2021, table of tasks) and as SuperGLUE does.
HEADLINES = {
    "glue/cola": "mcc",
    "glue/sst2": "accuracy",
    "glue/mrpc": "f1",
    "glue/stsb": "spearman",
    "glue/qqp": "accuracy",
    "glue/mnli": "accuracy",
    "glue/qnli": "accuracy",
    "glue/rte": "accuracy",
    "superglue/boolq": "accuracy",
    "superglue/cb": "accuracy",
    "superglue/rte": "accuracy",
    "superglue/wic": "accuracy",
}


def test_all_tasks_are_there_with_their_headline():
    assert {name: task.metrics[0] for name, task in HUB_TASKS.items()} == HEADLINES


@pytest.mark.parametrize("name", HUB_TASKS)
def test_every_entry_is_consistent(name):
    task = HUB_TASKS[name]
    assert all(METRICS[metric].kind == task.kind for metric in task.metrics)
    assert "f1" not in task.metrics or len(task.classes) == 2
    assert len(task.texts) in (1, 2)
    assert task.metrics[0] in task.description


def test_listing_tasks_imports_nothing_heavy():
    code = (
        "import sys; from stabilitybench.tasks import task_catalogue; assert len(task_catalogue()) > 12;"
        "print([m for m in ('torch', 'datasets', 'transformers', 'sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_has_one_line_each():
    for name, line in task_catalogue():
        assert line, name
        assert "\n" not in line


def rows(labels, **columns):
    n = len(labels)
    texts = {"sentence1": [f"a{k}" for k in range(n)], "sentence2": [f"b{k}" for k in range(n)]}
    return Dataset.from_dict({**texts, **columns, "label": labels})


def test_rows_become_a_split():
    split = _split("superglue/wic", HUB_TASKS["superglue/wic"], "train", rows([1, 0], word=["x", "y"]), ("F", "T"))
    assert split.ids == ("train-0", "train-1")
    assert split.first == ("x: a0", "y: a1")
    assert split.second == ("b0", "b1")
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == [1, 0]


def test_scores_stay_real_numbers():
    split = _split("glue/stsb", HUB_TASKS["glue/stsb"], "train", rows([0.0, 3.8]), ())
    assert split.labels.dtype == np.float64
    assert split.labels.tolist() == [0.0, 3.8]


@pytest.mark.parametrize("label", [-1, 2, None])
def test_unlabelled_rows_are_refused(label):
    with pytest.raises(UserError, match=f'task "glue/rte": validation row 1: label {label} .* class in \\[0, 1\\]'):
        _split("glue/rte", HUB_TASKS["glue/rte"], "validation", rows([0, label, 1]), ("yes", "no"))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match=r"train row 1: label nan .* needs a finite score"):
        _split("glue/stsb", HUB_TASKS["glue/stsb"], "train", rows([0.5, float("nan")]), ())


def test_a_dataset_without_the_columns_is_refused():
    with pytest.raises(UserError, match='task "glue/cola": the train set of nyu-mll/glue has no column sentence'):
        _split("glue/cola", HUB_TASKS["glue/cola"], "train", rows([0, 1]), ("no", "yes"))


def test_class_names_come_from_the_dataset_or_else_the_table():
    named = Features({"label": ClassLabel(names=["yes", "no"]), "sentence1": Value("string")})
    data = Dataset.from_dict({"label": [0, 1], "sentence1": ["a", "b"]}, features=named)
    assert _class_names(data, HUB_TASKS["glue/rte"]) == ("yes", "no")
    assert _class_names(rows([0, 1]), HUB_TASKS["glue/rte"]) == ("entailment", "not_entailment")
    assert _class_names(rows([0.5, 1.5]), HUB_TASKS["glue/stsb"]) == ()


def test_a_full_disk_is_no_fault_of_the_user():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as full:
            raise RuntimeError("could not generate") from full
    except RuntimeError as error:
        said = _explain(error, "glue/rte", HUB_TASKS["glue/rte"], None)
    assert isinstance(said, EnvironmentFailure)
    assert str(said) == 'task "glue/rte": the cache cannot be written: No space left on device'
