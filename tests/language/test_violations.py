import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.language.grammar import Clause, Meaning, Phrase, realise, text
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import sample_meaning
from stabilitybench.language.violations import VIOLATIONS, violate
from support.parsing import parse


@pytest.mark.parametrize("kind", VIOLATIONS)
@settings(deadline=None, derandomize=True, max_examples=200)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_violation_is_ever_a_sentence_of_the_language(kind, seed):
    rolls = Dice(np.random.default_rng(seed))
    tokens = realise(sample_meaning(rolls), rolls)
    broken = VIOLATIONS[kind](tokens, rolls)
    if broken is not None:
        assert parse(text(tokens)) is not None
        assert parse(text(broken)) is None


SENTENCE = "the dog notices several cats"


def test_each_violation_on_a_sentence_small_enough_to_list_them_all():
    tokens = realise(
        Meaning((Clause(Phrase("dog"), "see", Phrase("cat", plural=True, definite=False)),)),
        Dice(np.random.default_rng(3)),
        "active",
    )
    assert text(tokens) == SENTENCE

    def outcomes(kind):
        return {text(violate(tokens, Dice(np.random.default_rng(s)), (kind,))) for s in range(60)}

    assert outcomes("agreement") == {SENTENCE.replace("notices", "notice")}
    assert outcomes("form") == {SENTENCE.replace("notices", "is notices")}
    assert SENTENCE.replace("the dog", "dog the") in outcomes("order")
    assert outcomes("omission") == {SENTENCE.replace(" notices", ""), SENTENCE.replace("the ", "")}
    assert outcomes("determiner") == {SENTENCE.replace("several", "one")}
