"""An independent reader of the pocket language: the grammar's rules written backwards, sharing no code with it."""

from stabilitybench.language import lexicon
from stabilitybench.language.grammar import Clause, Meaning, Phrase

NOUNS = {w: (n.name, False) for n in lexicon.NOUNS.values() for w in n.singular}
NOUNS |= {w: (n.name, True) for n in lexicon.NOUNS.values() for w in n.plural}
ADJECTIVES = {w: q.name for q in lexicon.QUALITIES.values() for w in q.words}
THIRD = {w: v.name for v in lexicon.VERBS.values() for w in v.third}
BASE = {w: v.name for v in lexicon.VERBS.values() for w in v.base}
PARTICIPLE = {w: v.name for v in lexicon.VERBS.values() for w in v.participle}
ADVERBS = {w: name for name, words in lexicon.ADVERBS.items() for w in words}
PLACES = {w: name for name, words in lexicon.PLACES.items() for w in words}
PREPOSITIONS = {w: name for name, words in lexicon.RELATIONS.items() for w in words}
DETERMINERS = {"this": (False, True), "these": (True, True), "a": (False, False), "an": (False, False)}
DETERMINERS |= {"one": (False, False), "some": (True, False), "several": (True, False)}


class Ungrammatical(Exception):
    pass


def need(condition):
    if not condition:
        raise Ungrammatical


class Reader:
    def __init__(self, words):
        self.words = list(words)

    def take(self, *table):
        need(self.words and self.words[0] in table[0])
        return self.words.pop(0)

    def next_in(self, table):
        return bool(self.words) and self.words[0] in table

    def phrase(self):
        need(self.words)
        determiner = self.words.pop(0)
        need(determiner == "the" or determiner in DETERMINERS)
        if determiner in ("a", "an"):
            need(self.words and (determiner == "an") == (self.words[0][0] in "aeiou"))
        quality = ADJECTIVES[self.words.pop(0)] if self.next_in(ADJECTIVES) else None
        noun, plural = NOUNS[self.take(NOUNS)]
        definite = True
        if determiner != "the":
            needed, definite = DETERMINERS[determiner]
            need(needed == plural)
        return Phrase(noun, plural, definite, quality)

    def adverb(self):
        return ADVERBS[self.words.pop(0)] if self.next_in(ADVERBS) else None

    def negation(self):
        if self.next_in({"not"}):
            self.words.pop(0)
            return True
        return False


def parse_clause(words):
    place = None
    for start in (0, len(words) - 3):
        if place is None and len(words) > 3 and words[start] in PREPOSITIONS:
            need(words[start + 1] == "the" and words[start + 2] in PLACES)
            place = PREPOSITIONS[words[start]], PLACES[words[start + 2]]
            words = words[:start] + words[start + 3 :]
    reader = Reader(words)
    subject = reader.phrase()
    if reader.next_in({"is", "are"}):
        need((reader.take({"is", "are"}) == "are") == subject.plural)
        negated, adverb = reader.negation(), reader.adverb()
        if reader.next_in(ADJECTIVES):
            clause = Clause(subject, None, None, ADJECTIVES[reader.words.pop(0)], negated, place, adverb)
        else:
            verb = PARTICIPLE[reader.take(PARTICIPLE)]
            reader.take({"by"})
            clause = Clause(reader.phrase(), verb, subject, None, negated, place, adverb)
    elif reader.next_in({"do", "does"}):
        need((reader.take({"do", "does"}) == "do") == subject.plural)
        need(reader.negation())
        adverb = reader.adverb()
        verb = BASE[reader.take(BASE)]
        clause = Clause(subject, verb, reader.phrase(), None, True, place, adverb)
    else:
        adverb = reader.adverb()
        table = BASE if subject.plural else THIRD
        verb = table[reader.take(table)]
        clause = Clause(subject, verb, reader.phrase(), None, False, place, adverb)
    need(not reader.words)
    return clause


def tone(clause):
    if clause.verb is not None:
        polarity = lexicon.VERBS[clause.verb].polarity
    else:
        polarity = lexicon.QUALITIES[clause.quality].polarity
    return -polarity if clause.negated else polarity


def parse(sentence):
    """Return the one meaning of `sentence`, or None if it is not a sentence of the language."""
    words = sentence.split()
    joints = [i for i, word in enumerate(words) if word in ("and", "but")]
    try:
        if not joints:
            return Meaning((parse_clause(words),))
        need(len(joints) == 1)
        first, second = parse_clause(words[: joints[0]]), parse_clause(words[joints[0] + 1 :])
        contrast = words[joints[0]] == "but"
        need(contrast == (tone(first) * tone(second) < 0))
        return Meaning((first, second), contrast)
    except Ungrammatical:
        return None
