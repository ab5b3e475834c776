from itertools import islice

import numpy as np

from stabilitybench.language.corpus import FOLLOWS, PAIRED, passage
from stabilitybench.language.grammar import sentiment
from stabilitybench.language.lexicon import words
from stabilitybench.language.relations import entails
from stabilitybench.language.sampler import Dice
from stabilitybench.language.tokenizer import MAX_LENGTH
from support.parsing import parse

COUNT = 4000


def passages(seed=0):
    dice = Dice(np.random.default_rng(seed))
    while True:
        yield passage(dice)


def test_passages_are_grammatical_fit_the_encoder_and_repeat_for_a_seed():
    known = set(words())
    drawn = list(islice(passages(), COUNT))
    for item in drawn:
        sentences = [item.first] + ([item.second] if item.second is not None else [])
        assert all(parse(sentence) is not None for sentence in sentences)
        tokens = " ".join(sentences).split()
        assert set(tokens) <= known
        assert len(tokens) + 4 <= MAX_LENGTH
    assert drawn[:500] == list(islice(passages(), 500))
    assert drawn[:500] != list(islice(passages(1), 500))


def test_pairs_have_the_promised_shares_and_each_label_means_what_it_says():
    pairs = [p for p in islice(passages(), COUNT) if p.second is not None]
    true = [p for p in pairs if p.follows]
    # 5 standard deviations of a binomial share
    assert abs(len(pairs) / COUNT - PAIRED) < 5 * 0.5 / COUNT**0.5
    assert abs(len(true) / len(pairs) - FOLLOWS) < 5 * 0.5 / len(pairs) ** 0.5
    entailed = [entails(parse(p.first), parse(p.second)) for p in true]
    assert 0.4 < np.mean(entailed) < 0.75  # paraphrases and what is weaker; the rest are follow-ups
    for p, follows in zip(true, entailed, strict=True):
        if not follows:
            last, said = parse(p.first).clauses[-1], parse(p.second).clauses[0]
            assert sentiment(last) == sentiment(said)
            assert said.agent.noun in (last.agent.noun, last.patient and last.patient.noun)
    false = [entails(parse(p.first), parse(p.second)) for p in pairs if not p.follows]
    assert np.mean(false) < 0.01
