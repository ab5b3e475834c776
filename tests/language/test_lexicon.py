from collections import Counter

from stabilitybench.language import lexicon


def test_vocabulary_is_readable_in_size_and_no_word_has_two_meanings():
    counts = Counter(word for word in lexicon.FUNCTION_WORDS)
    for noun in lexicon.NOUNS.values():
        counts.update(noun.singular + noun.plural)
    for verb in lexicon.VERBS.values():
        counts.update(verb.third + verb.base + verb.participle)
    for quality in lexicon.QUALITIES.values():
        counts.update(quality.words)
    for table in (lexicon.ADVERBS, lexicon.PLACES, lexicon.RELATIONS):
        counts.update(word for words in table.values() for word in words)
    assert [word for word, n in counts.items() if n > 1] == []
    assert set(lexicon.words()) == set(counts)
    assert 350 <= len(counts) <= 420


def test_opposites_are_mutual_and_of_opposite_polarity():
    for quality in lexicon.QUALITIES.values():
        other = lexicon.QUALITIES[quality.opposite]
        assert other.opposite == quality.name
        assert other.polarity == -quality.polarity
        assert other.kinds == quality.kinds


def test_every_kind_has_a_name_and_qualities_of_every_polarity():
    for kind in lexicon.KINDS:
        assert lexicon.NOUNS[kind].general
        assert {q.polarity for q in lexicon.QUALITIES.values() if kind in q.kinds} == {-1, 0, 1}


def test_forms_of_a_verb_differ_so_that_a_wrong_form_is_visible():
    for verb in lexicon.VERBS.values():
        for forms in zip(verb.third, verb.base, verb.participle, strict=True):
            assert len(set(forms)) == 3
