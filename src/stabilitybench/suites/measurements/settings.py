"""How a dataset is measured: the settings that a suite file gives and that travel to a worker."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from stabilitybench.storage.toml import TomlTable
from stabilitybench.theory.bounds import Weight

#: Settings that may be varied like a generator's parameter.
VARIED = ("steps", "rate", "scale", "heads", "distance", "starts")


class Settings(TomlTable):
    """How a dataset is measured.

    Attributes
    ----------
    kind : str
        Name of a kind of measurement.
    steps : int, default 1000
        Of gradient descent.
    rate : float, default 1.0
        Learning rate, as a multiple of 1 / beta.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of the samples that stay.
    starts : int, default 0
        Independent starts for the seed quantity (0: not measured).
    scale : float, default 0.0
        Standard deviation of a start's entries; the first start is the common one of the leave-one-out runs.
    heads : int, default 1
        Averaged after training.
    distance : float or None, default None
        Of the start from the minimiser (full); None: zero, or the start that the generator gives.
    bounds : tuple of str, default ()
        Names of bounds of that kind.
    """

    kind: str
    steps: int = Field(1000, ge=1, le=1_000_000)
    rate: float = Field(1.0, gt=0, le=1e6)
    weight: Weight = "1/n"
    starts: int = Field(0, ge=0, le=1000)
    scale: float = Field(0.0, ge=0, le=1e6)
    heads: int = Field(1, ge=1, le=10_000)
    distance: float | None = Field(None, ge=0, le=1e9)
    bounds: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.starts == 1:
            raise ValueError("starts = 1: must be 0 (not measured) or at least 2, whose distances are measured")
        return self
