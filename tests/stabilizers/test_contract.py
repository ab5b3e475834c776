"""A class that looks like a stabilizer and is none is refused when it is registered, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import pytest

from stabilitybench.errors import UserError
from stabilitybench.stabilizers import SWA, Position, ReInit, Stabilizer, catalogue, register, registry


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def body(hints: dict[str, Any] | None = None, **attributes: Any) -> Callable[[], type[Stabilizer]]:
    def make() -> type[Stabilizer]:
        return type("Mine", (Stabilizer,), {"__annotations__": hints or {}, "__module__": __name__, **attributes})

    return make


def stepping(self: Any, forward: Any, batch: Any, ctx: Any) -> float:
    return 0.0


async def later(self: Any, forward: Any, batch: Any, ctx: Any) -> float:
    return 0.0


def yielding(self: Any, recipe: Any, layout: Any, task: Any) -> Iterator[int]:
    yield 1


BROKEN: dict[str, tuple[Callable[[], type[Stabilizer]], str]] = {
    "a field named like a hook": (body({"rate": float}, rate=0.5), "the field rate has the name of a part"),
    "a field named like a hook, no default": (body({"penalty": float}), "the field penalty has the name of a part"),
    "a field named like a class attribute": (body({"paper": str}, paper="A 2026"), "the field paper has the name"),
    "a class variable named like a hook": (
        body({"rate": ClassVar[float]}, rate=0.5), "rate is a float: it must be a method, rate(self, name, ctx)",
    ),
    "a value named like a hook": (body(setup=None), "setup is a NoneType: it must be a method, setup(self, params"),
    "a misspelt hook": (body(penalties=stepping), 'penalties is no part of the contract; did you mean "penalty"?'),
    "a hook in the plural": (body(after_steps=stepping), 'did you mean "after_step"?'),
    "a hook nobody knows": (body(on_epoch_end=stepping), "on_epoch_end is no part of the contract; begin the name"),
    "a misspelt attribute": (body(papers="A 2026"), 'papers is no part of the contract; did you mean "paper"?'),
    "a property nobody knows": (body(exact_gradients=property(lambda self: False)), 'did you mean "exact_gradient"?'),
    "too few parameters": (
        body(penalty=lambda self, forward, batch: 0.0),
        "penalty(self, forward, batch) must be penalty(self, forward, batch, ctx)",
    ),
    "too many parameters": (
        body(rate=lambda self, name, ctx, more: 1.0), "rate(self, name, ctx, more) must be rate(self, name, ctx)",
    ),
    "no self": (body(penalty=lambda forward, batch, ctx: 0.0), "penalty(forward, batch, ctx) must be penalty(self"),
    "keyword-only": (body(rate=lambda self, *, name, ctx: 1.0), "must be rate(self, name, ctx)"),
    "a static hook": (body(penalty=staticmethod(stepping)), "penalty is a staticmethod: it must be a method"),
    "a hook of the class": (body(penalty=classmethod(stepping)), "penalty is a classmethod: it must be a method"),
    "a hook as a property": (body(penalty=property(stepping)), "penalty is a property: it must be a method"),
    "a cached hook": (body(penalty=cached_property(stepping)), "penalty is a cached_property: it must be a method"),
    "a method in place of a property": (
        body(exact_gradient=lambda self: False), "exact_gradient must be a property, as in the contract",
    ),
    "an async hook": (body(penalty=later), "penalty must return its value: neither async nor yield"),
    "a hook that yields": (body(phases=yielding), "phases must return its value: neither async nor yield"),
    "a number for a position": (body(position=40), "position = 40: must be of the type Position"),
    "a list for traits": (body(traits=["x"]), "traits = ['x']: must be of the type frozenset"),
    "a number for a paper": (body(paper=1992), "paper = 1992: must be of the type str"),
    "a factory": (
        body({"layers": list}, layers=field(default_factory=list)),
        "the default of layers must be a value, such as a number or a tuple, and no default_factory",
    ),
    "no parameter": (body({"x": float}, x=field(default=0.0, init=False)), "the field x must be a parameter"),
    "for init alone": (body({"x": InitVar[float]}, x=0.0), "x must be an ordinary field: an InitVar"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_contract_is_refused_in_one_sentence(case: str) -> None:
    make, sentence = BROKEN[case]
    with pytest.raises(UserError) as caught:
        register("mine")(dataclass(frozen=True)(make()))
    assert str(caught.value).startswith('stabilizer "mine": ')
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "mine" not in catalogue()


def test_what_keeps_the_contract_is_not() -> None:
    @register("mine")
    @dataclass(frozen=True)
    class Mine(Stabilizer):
        """Do it."""

        paper = "Nobody 2026"
        position = Position.AFTER
        LARGEST = 3
        KNOWN: ClassVar[tuple[str, ...]] = ("a",)
        weight: float = 0.5
        penalties: float = 1.0  # a parameter may be called anything that is no part of the contract

        def penalty(self, *given: Any) -> float:
            return self._helper()

        def rate(self, tensor: str, context: Any, more: int = 0) -> float:
            return 1.0

        def _helper(self) -> float:
            return self.weight

    assert catalogue()["mine"] is Mine


def test_a_method_may_be_derived_from_a_shipped_one() -> None:
    @register("mine")
    @dataclass(frozen=True)
    class Mine(SWA):
        """Do it otherwise."""

        more: int = 1

    assert Mine(start=0.25).parameters() == {"start": 0.25}


@pytest.mark.parametrize("base", [Stabilizer, ReInit])
def test_decorators_are_needed_in_their_order(base: type[Stabilizer]) -> None:
    with pytest.raises(UserError, match=r"must be decorated with @dataclass\(frozen=True\) below @register$"):

        @dataclass(frozen=True)
        @register("mine")
        class Mine(base):  # type: ignore[valid-type, misc]
            """Do it."""

            more: int = 1


def test_a_mutable_default_is_refused_by_python_itself() -> None:
    with pytest.raises(ValueError, match="mutable default"):
        dataclass(frozen=True)(body({"layers": list}, layers=[])())
