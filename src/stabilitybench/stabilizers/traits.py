"""What stabilizers say of themselves so that others, known or not, can stand beside them."""

from __future__ import annotations

from enum import Enum, IntEnum


class Position(IntEnum):
    """Where a method acts in a composition, first to last; methods of one position act in the order of their names.

    The hooks of all methods are called in this order, but `evaluation`, which undoes: last to first.  The order is part
    of every run id.
    """

    TEXT_STAGE = 1  #: trains the encoder on texts, labels unseen, before fine-tuning
    TASK_STAGE = 2  #: trains it on another task
    DRAW = 3  #: draws pretrained tensors anew
    HEAD = 4  #: says how heads start, or adds some
    FREEZE = 5  #: keeps tensors where they are
    PROBE = 6  #: fits the head to what the tensors before it make of the rows
    WEIGHTS = 7  #: lets the training pass read other weights
    ANCHOR = 8  #: pulls the gradient towards the start
    ADAPTER = 9  #: trains further tensors in place of the encoder's own
    LOSS = 10  #: changes recipe, rates, loss or clipped gradient: most methods
    GRADIENT = 11  #: looks at the gradient elsewhere, whatever the methods before made of it
    AFTER = 12  #: moves the weights after the optimizer
    AVERAGE = 13  #: averages the weights that all others leave
    MEMBERS = 14  #: trains several networks, each as all others say


class Trait(Enum):
    """What may keep two methods apart: see `EXCLUSIVE` and `INCOMPATIBLE`."""

    SETS_EPOCHS = "sets the number of epochs"
    SETS_OUTPUT_START = "decides where the output layer starts"
    CORRECTS_BIAS = "switches Adam's bias correction on"
    LEAVES_BIAS = "switches Adam's bias correction off"
    COMPARES_ONE_HEAD = "compares the predictions of one head"
    TRAINS_SEVERAL_HEADS = "trains several heads"
    FOLLOWS_ONE_NETWORK = "follows one network along the training"
    TRAINS_SEVERAL_NETWORKS = "trains several networks"
    HOLDS_WEIGHTS = "holds weights in place while others train"
    MOVES_EVERY_WEIGHT = "adds noise to every weight"
    TRAINS_BIASES_ALONE = "freezes every weight matrix of the encoder"
    TRAINS_ADAPTERS_ALONE = "trains further matrices in place of the encoder's"


#: Traits that only one method of a composition may have.
EXCLUSIVE = (Trait.SETS_EPOCHS, Trait.SETS_OUTPUT_START)
#: Pairs of traits that two methods of a composition may not have.
INCOMPATIBLE = (
    (Trait.CORRECTS_BIAS, Trait.LEAVES_BIAS),
    (Trait.COMPARES_ONE_HEAD, Trait.TRAINS_SEVERAL_HEADS),
    (Trait.FOLLOWS_ONE_NETWORK, Trait.TRAINS_SEVERAL_NETWORKS),
    (Trait.HOLDS_WEIGHTS, Trait.MOVES_EVERY_WEIGHT),
    (Trait.TRAINS_BIASES_ALONE, Trait.TRAINS_ADAPTERS_ALONE),
)


def remedy(one: frozenset[Trait], other: frozenset[Trait]) -> str | None:
    """Return what to do about methods with these traits, as a sentence; None where they can stand together.

    Parameters
    ----------
    one, other : frozenset of Trait
        Traits of the first and the second method.

    Examples
    --------
    >>> remedy(frozenset({Trait.SETS_EPOCHS}), frozenset({Trait.SETS_EPOCHS}))
    'each sets the number of epochs; keep one of them'
    >>> remedy(frozenset({Trait.CORRECTS_BIAS}), frozenset({Trait.LEAVES_BIAS}))
    "the first switches Adam's bias correction on, the second switches Adam's bias correction off; keep one of them"
    """
    for trait in EXCLUSIVE:
        if trait in one and trait in other:
            return f"each {trait.value}; keep one of them"
    for a, b in INCOMPATIBLE:
        for first, second in ((a, b), (b, a)):
            if first in one and second in other:
                return f"the first {first.value}, the second {second.value}; keep one of them"
    return None
