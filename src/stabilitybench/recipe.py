"""The recipe: everything standard about one training, as plain validated data."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stabilitybench.argument_checks import count, mapping
from stabilitybench.errors import Argument, UserError, plain
from stabilitybench.storage.toml import refusal

#: Peak rate of published BERT recipes (Devlin et al. 2019), taken when neither recipe nor encoder names one.
PUBLISHED_RATE = 2e-5


class _Checked(BaseModel):
    """A model that refuses a field in one sentence of ours; its parts are "recipe", the field, and what is wrong."""

    def __init__(self, /, *values: object, **fields: Any) -> None:
        if values:
            raise UserError(Argument("recipe", values[0]), ": must be given by fields, such as Recipe(epochs=3)")
        try:
            super().__init__(**plain(fields))
        except ValidationError as error:
            said = str(refusal(error, lambda _: type(self), within="recipe")).removeprefix("recipe.")
            key = re.match(r"\w+", said)
            split = key.end() if key else 0
            raise UserError("recipe.", said[:split], said[split:]) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise UserError(Argument(f"recipe.{name}", value), f": a recipe stays as it is; take replace({name}=...)")

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """Return a recipe of these fields.

        Parameters
        ----------
        obj : mapping of str to object, or Recipe
            The fields.
        **settings : object
            Have no effect: a recipe is always checked strictly.

        Raises
        ------
        UserError
            With the field, the value and what is allowed.
        """
        return obj if isinstance(obj, cls) else cls(**mapping("recipe", obj, "its fields to values"))


class Recipe(_Checked):
    """A training recipe; the defaults are those of Zhang et al. (2021) at batch 16.

    Every field is checked on construction; `replace` returns a changed, checked copy.

    Examples
    --------
    >>> Recipe(learning_rate=3e-4, epochs=3).replace(epochs=20).epochs
    20.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    mode: Literal["full", "head"] = Field(
        "full", description="train everything, or one linear layer on frozen features"
    )
    features: Literal["cls", "mean", "pooler"] = Field("cls", description="what the head reads under head tuning")
    learning_rate: float | None = Field(None, gt=0, le=100, description="peak rate; unset: the encoder's own default")
    batch_size: int = Field(16, ge=1, le=65_536)
    micro_batch: int | None = Field(None, ge=1, description="rows per forward pass; unset: the whole batch")
    epochs: float = Field(3.0, gt=0, le=100_000)
    steps: int | None = Field(None, ge=1, le=10_000_000, description="optimizer steps; overrides epochs")
    warmup: float = Field(0.1, ge=0, lt=1, description="fraction of the steps")
    schedule: Literal["linear", "constant", "slanted"] = "linear"
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled; never on biases and layer norms")
    betas: tuple[float, float] = Field((0.9, 0.999), strict=False)  # a study file writes tuples as arrays
    epsilon: float = Field(1e-8, ge=0, le=1)
    bias_correction: bool = True
    decay_order: Literal["before", "after"] = Field("before", description="decay before the step (torch) or after it")
    clip: float = Field(1.0, ge=0, description="largest gradient norm; 0 switches clipping off")
    clip_scope: Literal["global", "tensor"] = "global"
    dropout: float | None = Field(None, ge=0, lt=1, description="every dropout rate; unset: the encoder's own")
    dropout_off: tuple[str, ...] = Field(
        (), strict=False, description='module groups without dropout, such as "embeddings", "layer.0"'
    )
    max_length: int | None = Field(None, ge=3, description="tokens; unset: 128 or the encoder's maximum, if less")
    precision: Literal["fp32", "bf16"] = "fp32"
    evaluations: int = Field(10, ge=1, le=10_000, description="evenly spaced on the validation split")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas = {list(self.betas)}: both must lie in [0, 1)")
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch = {self.micro_batch}: must be at most batch_size = {self.batch_size}")
        return self

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with other values, checked like a new recipe.

        Parameters
        ----------
        **changes : object
            Fields to change, by name.

        Returns
        -------
        Recipe
            The copy; `self` stays as it is.

        Raises
        ------
        UserError
            For an unknown field or a value that is not allowed.
        """
        return Recipe(**{**self.model_dump(), **changes})

    def total_steps(self, n_train: int) -> int:
        """Return the number of optimizer steps; a last, smaller batch of an epoch counts as a step.

        Parameters
        ----------
        n_train : int
            Number of training rows.

        Returns
        -------
        int
            `steps` where it is set; else `epochs` times ceil(`n_train` / `batch_size`), rounded, at least 1.

        Examples
        --------
        >>> Recipe(batch_size=16, epochs=3).total_steps(500)
        96
        """
        count("n_train", n_train, 0)
        if self.steps is not None:
            return self.steps
        per_epoch = -(-n_train // self.batch_size)
        return max(1, round(self.epochs * per_epoch))

    def evaluation_steps(self, total: int) -> tuple[int, ...]:
        """Return the steps after which the model is evaluated, the last step always among them.

        Parameters
        ----------
        total : int
            Number of optimizer steps, as `total_steps` gives it.

        Returns
        -------
        tuple of int
            At most `evaluations` steps, from 1, ascending.

        Examples
        --------
        >>> Recipe(evaluations=3).evaluation_steps(10)
        (3, 7, 10)
        """
        count("total", total, 0)
        points = min(self.evaluations, total)
        return tuple(sorted({max(1, round(total * k / points)) for k in range(1, points + 1)}))
