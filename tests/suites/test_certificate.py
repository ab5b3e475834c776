"""Certificates of a tuned head on a real encoder's features, against the theory's own functions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning.linear_probe import frozen_features
from stabilitybench.suites.certificate import certify
from stabilitybench.tasks import load_task
from stabilitybench.theory import leave_one_out, max_margin
from stabilitybench.theory.bounds import violated


@pytest.fixture(scope="module")
def encoder(tiny_bert):
    return load_encoder(str(tiny_bert))


@pytest.fixture(scope="module")
def task(tiny_task):
    return load_task(f"file:{tiny_task}")


def rows(encoder, task, kind="mean"):
    split, _ = frozen_features(encoder, task, kind, None, torch.device("cpu"))
    return split.features.double().numpy(), split.labels.numpy()


def test_what_it_says_is_what_the_theory_says_of_these_features(encoder, task):
    found = certify(encoder, task, n=None, steps=[3, 30])
    x, y = rows(encoder, task)
    assert (found.rows, found.width, found.classes) == (40, 16, 2)
    assert found.radius == pytest.approx(np.linalg.norm(x, axis=1).max())
    assert found.rate * found.smoothness == pytest.approx(1.0)
    loo = leave_one_out(x, y, steps=[3, 30], dtype="float64")
    np.testing.assert_allclose(found.measured.direction, loo.direction, rtol=1e-12)
    if found.margin is not None:
        assert found.margin == pytest.approx(max_margin(x, y).margin)


@pytest.mark.parametrize("settings", [
    {}, {"weight": "1/(n-1)", "rate": 0.5}, {"start_scale": 0.3, "seed": 4}, {"bias": 1.0}, {"features": "cls"},
    {"features": "pooler"},
])  # fmt: skip
def test_no_certificate_is_below_the_measurement(encoder, task, settings):
    found = certify(encoder, task, n=12, steps=[1, 10, 200], **settings)
    assert found.margin is not None  # 12 rows in 16 dimensions
    assert found.refused.keys() <= {"B1"}
    assert not violated(found.measured.direction[:, 0], found.one_run.per_sample).any()
    for k, bound in enumerate(found.closed):
        assert not violated(found.measured.mean_direction[k, 0], bound.value)
    refit, one_fit, closed = found.max_margin
    assert not violated(found.limit.direction, refit.per_sample[-1]).any()
    assert not violated(found.limit.direction, one_fit.per_sample[-1]).any()
    assert not violated(found.limit.direction.mean(), closed.value)
    assert found.width == 16 + bool(settings.get("bias"))
    assert all("by construction" in text or "checked" in text for text in found.assumptions)


def test_classes_that_no_head_separates_are_said(encoder, task):
    labels = np.array(task.train.labels).copy()
    first = task.train.take([0] * 2 + list(range(2, 30)))
    twins = replace(task, train=replace(first, labels=np.concatenate([[0, 1], labels[2:30]])))
    found = certify(encoder, twins, n=None, steps=[10])
    assert found.margin is None
    assert found.limit is None
    assert "cannot be separated" in found.refused["B2, B3 closed form"]
    assert found.one_run is not None  # needs no margin


def test_three_classes_are_certified_with_the_softmax_loss(encoder, task):
    labels = np.arange(len(task.train)) % 3
    three = replace(task, classes=("a", "b", "c"), train=replace(task.train, labels=labels))
    found = certify(encoder, three, n=12, steps=[20])
    assert found.classes == 3
    assert found.measured.weights.shape == (1, 1, 3, 16)
    assert not violated(found.measured.direction[:, 0], found.one_run.per_sample).any()


def test_a_rate_beyond_the_proof_is_measured_and_its_bounds_are_refused(encoder, task):
    found = certify(encoder, task, n=12, steps=[5], rate=3.0)
    assert found.one_run is None
    assert "above 2 / beta" in found.refused["B3, one run"]
    assert any("above 2/beta" in note for note in found.notes)
    assert np.isfinite(found.measured.direction).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0.0}, "rate = 0: must be a finite number above 0"),
        ({"rate": float("nan")}, "rate = nan: must be"),
        ({"start_scale": -1.0}, "start_scale = -1: must be a finite number of at least 0"),
        ({"features": "max"}, 'features = "max": must be cls, mean or pooler'),
        ({"n": 1}, "n = 1: must be at least 2"),
        ({"steps": []}, "steps = []: must be numbers of at least 1"),
        ({"steps": [5, 0]}, "steps = 0: must be at least 1"),
        ({"weight": "n"}, 'weight = "n": must be'),
    ],
)
def test_bad_settings_are_one_sentence(encoder, task, settings, words):
    with pytest.raises(UserError) as error:
        certify(encoder, task, **{"n": 10, "steps": [5], **settings})
    assert words in str(error.value)


def test_a_regression_has_no_certificate(encoder, task):
    scores = replace(task, kind="regression", classes=())
    with pytest.raises(UserError, match="is a regression"):
        certify(encoder, scores)
