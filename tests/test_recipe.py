"""The recipe: every field checked, steps and evaluations counted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.recipe import Recipe

BAD: list[tuple[str, Any]] = [
    ("mode", "fll"),
    ("features", "max"),
    ("learning_rate", 0),
    ("learning_rate", -1e-5),
    ("learning_rate", math.nan),
    ("learning_rate", math.inf),
    ("learning_rate", 1e6),
    ("learning_rate", "fast"),
    ("batch_size", 0),
    ("batch_size", 2.5),
    ("batch_size", -4),
    ("batch_size", "16"),
    ("batch_size", True),
    ("bias_correction", "yes"),
    ("bias_correction", 1),
    ("micro_batch", 0),
    ("micro_batch", 17),
    ("epochs", 0),
    ("epochs", -1),
    ("epochs", math.inf),
    ("steps", 0),
    ("warmup", 1.0),
    ("warmup", -0.1),
    ("schedule", "cosine"),
    ("weight_decay", -0.01),
    ("betas", (0.9, 1.0)),
    ("betas", (-0.1, 0.9)),
    ("betas", (0.9,)),
    ("epsilon", -1e-8),
    ("clip", -1),
    ("clip_scope", "row"),
    ("decay_order", "never"),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("max_length", 2),
    ("precision", "fp16"),
    ("evaluations", 0),
    ("unheard_of", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(UserError) as caught:
        Recipe(**{field: value})
    assert str(caught.value).startswith(f"recipe.{field}")


def test_what_a_study_file_can_write_is_accepted() -> None:
    recipe = Recipe(betas=[0.8, 0.9], dropout_off=["embeddings"], epochs=4, learning_rate=1)  # type: ignore[arg-type]
    assert recipe.betas == (0.8, 0.9)
    assert recipe.dropout_off == ("embeddings",)
    assert Recipe(**recipe.model_dump(mode="json")) == recipe, "and comes back from a file unchanged"


def test_a_changed_copy_is_checked_like_a_new_one_and_the_original_stays() -> None:
    recipe = Recipe(epochs=3)
    assert recipe.replace(epochs=7).epochs == 7
    assert recipe.epochs == 3
    with pytest.raises(UserError):
        recipe.replace(batch_size=0)
    with pytest.raises(UserError):
        recipe.replace(no_such_field=1)
    with pytest.raises(UserError):
        Recipe(micro_batch=8).replace(batch_size=4)
    with pytest.raises(UserError, match=r"recipe.epochs = 4: a recipe stays as it is"):
        recipe.epochs = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("n", "recipe", "steps"),
    [
        (500, Recipe(batch_size=16, epochs=3), 96),  # the last 4 rows of an epoch are a step of their own
        (16, Recipe(batch_size=16, epochs=1), 1),
        (17, Recipe(batch_size=16, epochs=1), 2),
        (3, Recipe(batch_size=16, epochs=5), 5),  # a batch larger than the data
        (100, Recipe(batch_size=10, epochs=0.5), 5),
        (100, Recipe(batch_size=10, epochs=0.001), 1),  # at least one
        (100, Recipe(batch_size=10, epochs=99, steps=7), 7),
        (2490, Recipe(batch_size=32, epochs=3), 234),  # RTE as published
    ],
)
def test_steps_of_epochs(n: int, recipe: Recipe, steps: int) -> None:
    assert recipe.total_steps(n) == steps


@settings(deadline=None, derandomize=True, max_examples=300)
@given(total=st.integers(1, 3000), evaluations=st.integers(1, 3000))
def test_evaluations_are_evenly_spaced_and_end_at_the_end(total: int, evaluations: int) -> None:
    points = Recipe(evaluations=evaluations).evaluation_steps(total)
    assert len(points) == min(evaluations, total)
    assert points[-1] == total
    assert points[0] >= 1
    gaps = {b - a for a, b in zip((0, *points), points, strict=False)}
    assert max(gaps) - min(gaps) <= 1 or len(points) > 1
    assert max(gaps) <= total / len(points) + 1


def test_more_evaluations_than_steps_evaluate_after_every_step() -> None:
    assert Recipe(evaluations=50).evaluation_steps(4) == (1, 2, 3, 4)
