import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.language.grammar import Clause, Meaning, Phrase, realise, sentiment, text
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import sample_clause, sample_meaning
from support.parsing import parse

seeds = st.integers(0, 2**32 - 1)


def dice(seed):
    return Dice(np.random.default_rng(seed))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(seeds)
def test_a_reader_that_shares_no_code_recovers_every_meaning(seed):
    rolls = dice(seed)
    meaning = sample_meaning(rolls)
    assert parse(text(realise(meaning, rolls))) == meaning


@settings(deadline=None, derandomize=True, max_examples=100)
@given(seeds)
def test_same_seed_same_sentence(seed):
    assert realise(sample_meaning(dice(seed)), dice(seed)) == realise(sample_meaning(dice(seed)), dice(seed))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(seeds, st.sampled_from([-1, 0, 1]))
def test_clauses_have_the_sentiment_that_was_asked_for(seed, tone):
    assert sentiment(sample_clause(dice(seed), tone)) == tone


@pytest.mark.parametrize(
    ("clause", "voice", "expected"),
    [
        (Clause(Phrase("dog"), "see", Phrase("cat")), "active", {"sees", "notices"}),
        (Clause(Phrase("dog", plural=True), "see", Phrase("cat")), "active", {"see", "notice"}),
        (Clause(Phrase("dog"), "see", Phrase("cat"), negated=True), "active", {"see", "notice"}),
        (Clause(Phrase("dog"), "see", Phrase("cat")), "passive", {"seen", "noticed"}),
    ],
)
def test_verb_forms_follow_number_negation_and_voice(clause, voice, expected):
    for seed in range(20):
        words = text(realise(Meaning((clause,)), dice(seed), voice)).split()
        assert len(set(words) & expected) == 1


def test_an_stands_before_vowels_only():
    animal = Meaning((Clause(Phrase("animal", definite=False), quality="kind"),))
    starts = {text(realise(animal, dice(seed))).split(" is")[0] for seed in range(40)}
    assert starts == {"an animal", "a creature", "one animal", "one creature"}


def test_dice_use_the_whole_range_evenly_and_nothing_else():
    rolls = dice(0)
    counts = np.bincount([rolls.below(6) for _ in range(60_000)], minlength=6)
    assert counts.sum() == 60_000
    assert np.abs(counts - 10_000).max() < 500  # 5 standard deviations
