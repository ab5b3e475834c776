import numpy as np
import pytest

from stabilitybench.errors import UserError
from stabilitybench.language.grammar import sentiment
from stabilitybench.language.relations import entails, similarity
from stabilitybench.tasks import pocket
from stabilitybench.tasks.pocket import POCKET_TASKS, SIZES, load_pocket
from support.parsing import parse

CLASSIFIED = sorted(set(POCKET_TASKS) - {"pocket/similarity"})


def splits(task):
    return {"train": task.train, "validation": task.validation, "test": task.test}


def rows(split):
    return list(zip(split.first, split.second or [None] * len(split), strict=True))


@pytest.mark.parametrize("name", POCKET_TASKS)
def test_sizes_names_and_no_row_twice(name):
    task = load_pocket(name)
    assert {k: len(s) for k, s in splits(task).items()} == SIZES
    assert task.name == name
    everything = [row for split in splits(task).values() for row in rows(split)]
    assert len(set(everything)) == len(everything)
    ids = [i for split in splits(task).values() for i in split.ids]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", CLASSIFIED)
def test_classes_are_exactly_balanced_and_mixed(name):
    for split in splits(load_pocket(name)).values():
        assert split.labels.dtype == np.int64
        counts = np.bincount(split.labels)
        assert counts[0] == counts[1]
        assert 0 < split.labels[:20].sum() < 20


@pytest.mark.parametrize("name", POCKET_TASKS)
def test_made_again_it_is_the_same_task(name):
    first = load_pocket(name)
    pocket._load.cache_clear()
    assert load_pocket(name).fingerprint == first.fingerprint
    assert len({load_pocket(other).fingerprint for other in POCKET_TASKS}) == len(POCKET_TASKS)


def meanings(split):
    for (first, second), label in zip(rows(split), split.labels.tolist(), strict=True):
        yield parse(first), None if second is None else parse(second), label


def test_labels_of_acceptability_are_what_an_independent_reader_says():
    for split in splits(load_pocket("pocket/acceptability")).values():
        assert [int(meaning is not None) for meaning, _, _ in meanings(split)] == split.labels.tolist()


def test_labels_of_sentiment_are_what_an_independent_reader_says():
    for split in splits(load_pocket("pocket/sentiment")).values():
        for meaning, _, label in meanings(split):
            assert {sentiment(clause) for clause in meaning.clauses} == {1 if label else -1}


def test_labels_of_paraphrase_are_what_an_independent_reader_says():
    for split in splits(load_pocket("pocket/paraphrase")).values():
        for first, second, label in meanings(split):
            assert None not in (first, second)
            assert (first == second) == bool(label)


def test_labels_of_entailment_are_what_an_independent_reader_says():
    for split in splits(load_pocket("pocket/entailment")).values():
        for first, second, label in meanings(split):
            assert None not in (first, second)
            assert entails(first, second) == (label == 0)


def test_scores_of_similarity_are_what_an_independent_reader_says_and_spread():
    for split in splits(load_pocket("pocket/similarity")).values():
        for first, second, score in meanings(split):
            assert score == pytest.approx(similarity(first, second), abs=0.006)
        assert split.labels.dtype == np.float64
        assert split.labels.min() < 1 < 4 < split.labels.max()
        assert len(set(split.labels.tolist())) > 20


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r'task "pocket/sentimant": not a pocket task; did you mean "pocket/sentiment"'):
        load_pocket("pocket/sentimant")
