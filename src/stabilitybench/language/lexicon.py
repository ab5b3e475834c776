"""The words of the pocket language: concepts, each with its synonyms and their forms.

A *concept* is what a word means; its synonyms are interchangeable and mean exactly the same.  Nouns belong to a
kind and the kind has a name of its own (its hypernym: a dog is an animal).  Verbs say which kinds can do them and
to which kinds.  Verbs and qualities carry a polarity: +1 good, -1 bad, 0 neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

KINDS = ("person", "animal", "vehicle", "food", "object")
_ANIMATE = ("person", "animal")
_THINGS = ("vehicle", "food", "object")


@dataclass(frozen=True)
class Noun:
    """A noun concept with its synonyms.

    Attributes
    ----------
    name : str
        The concept, named by its first synonym.
    kind : str
        The kind it belongs to, one of `KINDS`.
    singular : tuple of str
        Singular form of each synonym.
    plural : tuple of str
        Plural form of each synonym, in the same order.
    """

    name: str
    kind: str
    singular: tuple[str, ...]
    plural: tuple[str, ...]

    @property
    def general(self) -> bool:
        """Whether this noun names a whole kind, as "animal" does."""
        return self.name == self.kind


@dataclass(frozen=True)
class Verb:
    """A transitive verb concept with its synonyms.

    Attributes
    ----------
    name : str
        The concept.
    third : tuple of str
        Form of each synonym with a singular agent.
    base : tuple of str
        Form of each with a plural agent and after "do not".
    participle : tuple of str
        Form of each in the passive.
    agents : tuple of str
        The kinds that can do it.
    patients : tuple of str
        The kinds it can be done to.
    polarity : int
        +1 good, -1 bad, 0 neither.
    """

    name: str
    third: tuple[str, ...]
    base: tuple[str, ...]
    participle: tuple[str, ...]
    agents: tuple[str, ...]
    patients: tuple[str, ...]
    polarity: int


@dataclass(frozen=True)
class Quality:
    """An adjective concept with its synonyms.

    Attributes
    ----------
    name : str
        The concept.
    words : tuple of str
        Its synonyms.
    kinds : tuple of str
        The kinds it is said of.
    polarity : int
        +1 good, -1 bad, 0 neither.
    opposite : str
        The concept that says the contrary.
    """

    name: str
    words: tuple[str, ...]
    kinds: tuple[str, ...]
    polarity: int
    opposite: str


# One concept a line: synonyms apart by "|", the two forms of a noun by a space.
_NOUNS = {
    "person": """person people | human humans
        doctor doctors | physician physicians
        teacher teachers | instructor instructors
        child children | kid kids
        lawyer lawyers | attorney attorneys
        pilot pilots | aviator aviators
        writer writers | author authors
        thief thieves | robber robbers
        worker workers | laborer laborers
        boss bosses | chief chiefs
        soldier soldiers | trooper troopers""",
    "animal": """animal animals | creature creatures
        dog dogs | hound hounds
        cat cats | feline felines
        rabbit rabbits | bunny bunnies
        pig pigs | hog hogs
        horse horses | steed steeds
        snake snakes | serpent serpents
        bird birds | fowl fowls""",
    "vehicle": """vehicle vehicles
        car cars | automobile automobiles
        boat boats | ship ships
        plane planes | jet jets
        bike bikes | bicycle bicycles
        truck trucks | lorry lorries""",
    "food": """snack snacks
        soup soups | broth broths
        cookie cookies | biscuit biscuits
        candy candies | sweet sweets
        potato potatoes | spud spuds""",
    "object": """object objects | thing things
        rock rocks | stone stones
        gift gifts | present presents
        picture pictures | image images
        rug rugs | carpet carpets
        sofa sofas | couch couches
        cup cups | mug mugs
        bag bags | sack sacks""",
}

_VERBS: tuple[tuple[str, int, tuple[str, ...], tuple[str, ...]], ...] = (
    ("helps help helped | assists assist assisted", 1, ("person",), _ANIMATE),
    ("praises praise praised | commends commend commended", 1, ("person",), ("person", "object", "food")),
    ("protects protect protected | shields shield shielded", 1, _ANIMATE, (*_ANIMATE, "object")),
    ("loves love loved | adores adore adored", 1, _ANIMATE, KINDS),
    ("repairs repair repaired | fixes fix fixed", 1, ("person",), ("vehicle", "object")),
    ("feeds feed fed | nourishes nourish nourished", 1, ("person",), _ANIMATE),
    ("attacks attack attacked | assaults assault assaulted", -1, _ANIMATE, _ANIMATE),
    ("blames blame blamed | accuses accuse accused", -1, ("person",), _ANIMATE),
    ("hates hate hated | detests detest detested", -1, _ANIMATE, KINDS),
    ("breaks break broken | smashes smash smashed", -1, _ANIMATE, ("vehicle", "object")),
    ("tricks trick tricked | deceives deceive deceived", -1, ("person",), _ANIMATE),
    ("steals steal stolen | swipes swipe swiped", -1, ("person",), _THINGS),
    ("sees see seen | notices notice noticed", 0, _ANIMATE, KINDS),
    ("finds find found | discovers discover discovered", 0, _ANIMATE, KINDS),
    ("follows follow followed | trails trail trailed", 0, (*_ANIMATE, "vehicle"), (*_ANIMATE, "vehicle")),
    ("buys buy bought | purchases purchase purchased", 0, ("person",), (*_THINGS, "animal")),
    ("eats eat eaten | devours devour devoured", 0, _ANIMATE, ("food",)),
    ("pushes push pushed | shoves shove shoved", 0, (*_ANIMATE, "vehicle"), ("vehicle", "object")),
    ("carries carry carried | transports transport transported", 0, ("person", "vehicle"), KINDS),
    ("calls call called | summons summon summoned", 0, ("person",), _ANIMATE),
    ("hides hide hidden | conceals conceal concealed", 0, _ANIMATE, ("food", "object")),
)

# Opposites share a line, apart by "/"; the first is the good one where the line has a polarity.
_QUALITIES = (
    ("kind | gentle / cruel | mean", 1, _ANIMATE),
    ("happy | glad / sad | gloomy", 1, _ANIMATE),
    ("brave | bold / cowardly | timid", 1, _ANIMATE),
    ("clever | smart / stupid | foolish", 1, _ANIMATE),
    ("honest | sincere / dishonest | deceitful", 1, ("person",)),
    ("polite | courteous / rude | impolite", 1, ("person",)),
    ("good | excellent / bad | awful", 1, KINDS),
    ("pretty | beautiful / ugly | hideous", 1, KINDS),
    ("clean | tidy / dirty | filthy", 1, KINDS),
    ("useful | handy / useless | worthless", 1, ("vehicle", "object")),
    ("tasty | delicious / disgusting | nasty", 1, ("food",)),
    ("big | large / small | little", 0, KINDS),
    ("old | ancient / new | recent", 0, ("vehicle", "object")),
    ("elderly | aged / young | youthful", 0, _ANIMATE),
    ("quick | fast / slow | sluggish", 0, (*_ANIMATE, "vehicle")),
    ("heavy | weighty / light | weightless", 0, _THINGS),
    ("wet | soaked / dry | parched", 0, KINDS),
)

_ADVERBS = "often | frequently\nusually | normally\nsometimes | occasionally\nnow | currently"
_PLACES = """park\nmarket | bazaar\nforest | woods\nkitchen\nschool\nstreet | road\nriver | stream
station\nbeach | shore\nfield | meadow\nvillage | hamlet\nmuseum\nbarn\nbridge\ncastle | fortress"""
_RELATIONS = "in | inside\nnear | beside\nbehind"


def _synonyms(line: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in line.split("|"))


def _forms(line: str) -> tuple[tuple[str, ...], ...]:
    """Turn ``"a b | c d"`` into ``(("a", "c"), ("b", "d"))``."""
    return tuple(zip(*(part.split() for part in line.split("|")), strict=True))


def _read_nouns() -> dict[str, Noun]:
    nouns = {}
    for kind, block in _NOUNS.items():
        for i, line in enumerate(block.splitlines()):
            singular, plural = _forms(line)
            name = kind if i == 0 else singular[0]
            nouns[name] = Noun(name, kind, singular, plural)
    return nouns


def _read_verbs() -> dict[str, Verb]:
    verbs = {}
    for line, polarity, agents, patients in _VERBS:
        third, base, participle = _forms(line)
        verbs[base[0]] = Verb(base[0], third, base, participle, agents, patients, polarity)
    return verbs


def _read_qualities() -> dict[str, Quality]:
    qualities = {}
    for line, polarity, kinds in _QUALITIES:
        good, bad = (_synonyms(side) for side in line.split("/"))
        qualities[good[0]] = Quality(good[0], good, kinds, polarity, bad[0])
        qualities[bad[0]] = Quality(bad[0], bad, kinds, -polarity, good[0])
    return qualities


def _read_words(block: str) -> dict[str, tuple[str, ...]]:
    return {line.split("|")[0].strip(): _synonyms(line) for line in block.splitlines()}


NOUNS = MappingProxyType(_read_nouns())
VERBS = MappingProxyType(_read_verbs())
QUALITIES = MappingProxyType(_read_qualities())
ADVERBS = MappingProxyType(_read_words(_ADVERBS))
PLACES = MappingProxyType(_read_words(_PLACES))
RELATIONS = MappingProxyType(_read_words(_RELATIONS))

#: Determiners by (plural, definite).
DETERMINERS = MappingProxyType(
    {
        (False, True): ("the", "this"),
        (True, True): ("the", "these"),
        (False, False): ("a", "one"),
        (True, False): ("some", "several"),
    }
)
FUNCTION_WORDS = (
    "the",
    "this",
    "these",
    "a",
    "an",
    "one",
    "some",
    "several",
    "is",
    "are",
    "does",
    "do",
    "not",
    "by",
    "and",
    "but",
)


def words() -> tuple[str, ...]:
    """Return every word of the language once, function words first, then by concept.

    Examples
    --------
    >>> len(words()) == len(set(words()))
    True
    """
    listed: list[str] = list(FUNCTION_WORDS)
    for noun in NOUNS.values():
        listed += noun.singular + noun.plural
    for verb in VERBS.values():
        listed += verb.third + verb.base + verb.participle
    for quality in QUALITIES.values():
        listed += quality.words
    for table in (ADVERBS, PLACES, RELATIONS):
        for synonyms in table.values():
            listed += synonyms
    return tuple(dict.fromkeys(listed))
