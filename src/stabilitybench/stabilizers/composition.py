"""Composition: several stabilizers on one recipe, in a fixed order, conflicts refused with a remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from stabilitybench.arguments import several
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer, TaskFacts

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


def compose(
    stabilizers: Iterable[Stabilizer], layout: Layout | None = None, *, where: str = ""
) -> tuple[Stabilizer, ...]:
    """Return the stabilizers in the order they act, or raise UserError where two cannot stand together.

    layout : the encoder, once it is known: some conflicts depend on its depth.
    Those that draw or replace initial weights act before those that read them, as `Stabilizer.order` says.

    >>> from stabilitybench.stabilizers import build
    >>> [s.name for s in compose([build("freeze"), build("reinit")])]
    ['reinit', 'freeze']
    """
    prefix = f"{where}: " if where else ""
    given = several("stabilizers", stabilizers, "stabilizers", Stabilizer)
    for name, count in Counter(s.name for s in given).items():
        if count > 1:
            raise UserError(f'{prefix}"{name}" stands {count} times: give it once')
    for i, one in enumerate(given):
        for other in given[i + 1 :]:
            remedy = one.conflict(other, layout) or other.conflict(one, layout)
            if remedy:
                raise UserError(f'{prefix}"{one.name}" and "{other.name}" exclude each other: {remedy}')
    return tuple(sorted(given, key=lambda s: (s.order, s.name)))


def refuse_random_frozen(
    stabilizers: Iterable[Stabilizer], fixed: Iterable[str], fresh: Container[str], layout: Layout
) -> None:
    """Raise UserError where a tensor would stay at random values: drawn anew or new to the encoder, and never trained.

    fixed : names of the tensors that never move.  fresh : names of those that the checkpoint lacks.
    """
    drawn = {place: s.name for s in stabilizers for place in s.draws(layout)}
    for name in fixed:
        if name in fresh:
            raise UserError(f'"{name}" would stay random: the checkpoint lacks it, and a stabilizer freezes it')
        if layout.place(name) in drawn:
            raise UserError(f'"{name}" would stay random: {drawn[layout.place(name)]} draws it, another freezes it')


def apply_recipe(stabilizers: Iterable[Stabilizer], recipe: Recipe, layout: Layout, task: TaskFacts) -> Recipe:
    """Return the recipe as the composed stabilizers change it, after each has said that it can work there."""
    for stabilizer in stabilizers:
        stabilizer.supports(recipe, layout, task)
    for stabilizer in stabilizers:
        recipe = stabilizer.recipe(recipe, layout)
    return recipe
