"""A task at a glance."""

import io

import pytest
from rich.console import Console

from stabilitybench.cli.views.inspect import print_task
from stabilitybench.errors import UserError


def shown(name, metric=None, encoder=None):
    console = Console(file=io.StringIO(), width=120, markup=False, emoji=False)
    print_task(str(name), metric, encoder, console)
    return console.file.getvalue()


def test_a_folder_is_read_with_and_without_its_prefix(tiny_task):
    assert shown(tiny_task) == shown(f"file:{tiny_task}")
    text = shown(tiny_task)
    train = next(line for line in text.splitlines() if line.startswith("train"))
    assert train.split()[1] == "40"
    assert "0 20 (50%), 1 20 (50%)" in train
    assert train.split()[-1] == "50.0"
    assert "no text stands twice" in text


def test_lengths_in_tokens_count_the_special_ones_too(tiny_task, tiny_bert):
    words, tokens = shown(tiny_task), shown(tiny_task, encoder=str(tiny_bert))
    assert "words: median" in words
    assert "6, 6, 6" in words
    assert "tokens: median" in tokens
    assert "8, 8, 8" in tokens


def test_duplicates_are_counted_and_shown_as_text(tmp_path):
    rows = ["a [b]same[/b]\t1", "a [b]same[/b]\t0", "one\t1", "two\t0"]
    (tmp_path / "train.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    dev = [f"x{i}\t{i % 2}" for i in range(8)] + ["one\t0", "one\t0"]
    (tmp_path / "dev.tsv").write_text("\n".join(["sentence\tlabel", *dev]) + "\n")
    text = shown(tmp_path)
    assert "duplicates: 1 row within train, 1 with another label, such as" in text
    assert "  a [b]same[/b]\n" in text
    assert "that stand in train too, " in text


def test_another_metric_changes_the_no_skill_score(tiny_task):
    assert "scored by mcc" in shown(tiny_task, metric="mcc")
    assert shown(tiny_task, metric="mcc").splitlines()[3].split()[-1] == "0.0"
    with pytest.raises(UserError, match='metric "bleu": must be one of'):
        shown(tiny_task, metric="bleu")


def test_regression_shows_the_range_of_scores():
    text = shown("pocket/similarity")
    assert "regression, scored by spearman" in text
    assert "lowest, mean, highest score" in text


@pytest.mark.parametrize("name", ["pocket/sentimet", "nothing", "data/nothing"])
def test_a_name_that_is_neither_folder_nor_task(name):
    with pytest.raises(UserError, match="neither a folder nor a task"):
        shown(name)
