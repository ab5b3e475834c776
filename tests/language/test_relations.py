import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.language.grammar import Clause, Meaning, Phrase, realise, sentiment, text
from stabilitybench.language.lexicon import NOUNS
from stabilitybench.language.relations import (
    change,
    contradict,
    contrary_follow_up,
    entails,
    follow_up,
    paraphrase,
    similarity,
    strengthen,
    swap_roles,
    weaken,
)
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import sample_meaning
from support.parsing import parse

many = settings(deadline=None, derandomize=True, max_examples=300)


@st.composite
def meanings(draw):
    rolls = Dice(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    return sample_meaning(rolls), rolls


@many
@given(meanings())
def test_paraphrases_differ_in_words_and_agree_in_meaning(drawn):
    meaning, rolls = drawn
    said = realise(meaning, rolls)
    again = paraphrase(meaning, said, rolls)
    assert text(again) != text(said)
    assert parse(text(again)) == meaning


@many
@given(meanings())
def test_what_is_weaker_follows_but_not_the_other_way(drawn):
    meaning, rolls = drawn
    weaker = weaken(meaning, rolls)
    if weaker is None:
        assert len(meaning.clauses) == 1
        assert not weakenable(meaning)
    else:
        assert entails(meaning, weaker)
        assert not entails(weaker, meaning)
        assert parse(text(realise(weaker, rolls))) == weaker


def weakenable(meaning):
    """Whether some affirmed clause has a modifier or a noun that is not the name of its kind."""
    for clause in meaning.clauses:
        phrases = [clause.agent] + ([clause.patient] if clause.patient else [])
        rich = clause.place or clause.adverb or any(p.quality or not NOUNS[p.noun].general for p in phrases)
        if rich and not clause.negated:
            return True
    return False


@many
@given(meanings())
def test_a_contradiction_denies_exactly_one_clause_and_stays_grammatical(drawn):
    meaning, rolls = drawn
    contrary = contradict(meaning, rolls)
    changed = [(a, b) for a, b in zip(meaning.clauses, contrary.clauses, strict=True) if a != b]
    assert len(changed) == 1
    before, after = changed[0]
    assert sentiment(after) == -sentiment(before)
    assert not entails(meaning, contrary)
    assert not entails(contrary, meaning)
    assert parse(text(realise(contrary, rolls))) == contrary


@many
@given(meanings())
def test_exchanged_roles_exchange_back(drawn):
    meaning, rolls = drawn
    swapped = swap_roles(meaning)
    if swapped is not None:
        assert swapped != meaning
        assert swap_roles(swapped) == meaning
        assert parse(text(realise(swapped, rolls))) == swapped


@many
@given(meanings())
def test_a_change_alters_the_meaning_but_not_its_sentiments(drawn):
    meaning, rolls = drawn
    other = change(meaning, rolls)
    assert other != meaning
    assert [sentiment(c) for c in other.clauses] == [sentiment(c) for c in meaning.clauses]
    assert parse(text(realise(other, rolls))) == other


@many
@given(meanings())
def test_strengthening_adds_something(drawn):
    meaning, rolls = drawn
    stronger = strengthen(meaning, rolls)
    if stronger != meaning and not any(clause.negated for clause in meaning.clauses):
        assert entails(stronger, meaning)
        assert not entails(meaning, stronger)


@many
@given(meanings())
def test_a_follow_up_keeps_the_tone_and_a_contrary_one_turns_it(drawn):
    meaning, rolls = drawn
    last = meaning.clauses[-1]
    nouns = {last.agent.noun} | ({last.patient.noun} if last.patient else set())
    following = follow_up(meaning, rolls)
    assert sentiment(following.clauses[0]) == sentiment(last)
    assert following.clauses[0].agent.noun in nouns
    broken = contrary_follow_up(meaning, rolls)
    if sentiment(last) == 0:
        assert broken is None
    else:
        assert sentiment(broken.clauses[0]) == -sentiment(last)


@many
@given(meanings(), meanings())
def test_similarity_is_symmetric_in_range_and_five_only_for_the_same_words_of_content(a, b):
    x, y = a[0], b[0]
    assert similarity(x, y) == similarity(y, x)
    assert 0.0 <= similarity(x, y) <= 5.0
    assert similarity(x, x) == 5.0
    assert similarity(x, change(x, a[1])) < 5.0
    assert similarity(x, contradict(x, a[1])) < 5.0


def test_similarity_by_hand():
    base = Clause(Phrase("dog", quality="big"), "see", Phrase("cat"), place=("in", "park"))

    def against(clause):
        return similarity(Meaning((base,)), Meaning((clause,)))

    assert against(Clause(Phrase("dog"), "see", Phrase("cat"), place=("in", "park"))) == pytest.approx(5 - 1.25 * 0.3)
    assert against(Clause(Phrase("dog", quality="big"), "see", Phrase("pig"), place=("in", "park"))) == pytest.approx(
        5 - 1.25 * 0.6
    )
    assert against(Clause(Phrase("dog", quality="big"), "see", Phrase("cat"))) == pytest.approx(4.75)
    assert against(Clause(Phrase("dog", quality="big"), "hate", Phrase("cat"), place=("in", "park"))) == 3.0
    two = Meaning((base, base))
    assert similarity(Meaning((base,)), two) == 2.5
