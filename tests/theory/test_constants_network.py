"""Constants of networks against dense Hessians and autograd, on a small head and on a real BERT and RoBERTa."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stabilitybench.errors import UserError
from stabilitybench.theory import bounds, constants


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Small(nn.Module):
    """Two layers, 7 * 6 + 6 + 3 * 6 + 3 = 69 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.classifier = nn.Linear(7, 6), nn.Linear(6, 3)
        for tensor in self.parameters():
            tensor.data = torch.randn(tensor.shape, generator=seeded(tensor.numel()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.tanh(self.inner(x)))


@pytest.fixture
def small() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    x = torch.randn(10, 7, generator=seeded(1), dtype=torch.float64)
    return Small().double().eval(), {"x": x, "labels": torch.arange(10) % 3}


def dense_hessian(model: nn.Module, samples: dict[str, torch.Tensor]) -> np.ndarray:
    """Hessian of the mean loss by plain double backward, one row at a time."""
    weights = list(model.parameters())
    loss = nn.functional.cross_entropy(model(samples["x"]), samples["labels"])
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, create_graph=True)])
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(entry, weights, retain_graph=True)]) for entry in gradient
    ]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("chunk", [4, 64])
def test_curvature_and_gradients_of_a_small_network(
    small: tuple[nn.Module, dict[str, torch.Tensor]], chunk: int
) -> None:
    model, samples = small
    loss, weights = constants.model_loss(model)
    values = np.linalg.eigvalsh(dense_hessian(model, samples))
    found = constants.curvature(loss, weights, samples, chunk=chunk, tolerance=1e-6)
    assert found.smoothness == pytest.approx(values[-1], rel=1e-5)
    assert found.lowest == pytest.approx(values[0], rel=1e-4)
    norms = constants.gradient_norms(loss, weights, samples, chunk=chunk)
    for i in range(10):
        one = nn.functional.cross_entropy(model(samples["x"][i : i + 1]), samples["labels"][i : i + 1])
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(one, list(model.parameters()))])
        assert norms[i] == pytest.approx(float(gradient.norm()), rel=1e-10)
    mean = nn.functional.cross_entropy(model(samples["x"]), samples["labels"])
    assert constants.mean_loss(loss, weights, samples, chunk=chunk) == pytest.approx(float(mean.detach()), rel=1e-10)


def test_no_convexity_is_said_and_cannot_be_plugged_in(small: tuple[nn.Module, dict[str, torch.Tensor]]) -> None:
    model, samples = small
    found = constants.network_constants(*constants.model_loss(model), samples)
    assert found.curvature.lowest < 0
    assert found.curvature.convexity is None
    assert "mu <= 0" in found.curvature.note
    with pytest.raises(UserError, match="convexity = None: must be a number; where there is none"):
        bounds.published_full_tuning(
            n=10,
            lipschitz=found.lipschitz,
            smoothness=found.curvature.smoothness,
            convexity=found.curvature.convexity,
            distance=1.0,
        )


def test_a_frozen_body_leaves_a_convex_head(small: tuple[nn.Module, dict[str, torch.Tensor]]) -> None:
    model, samples = small
    loss, weights = constants.model_loss(model, frozen=["inner"])
    assert list(weights) == ["classifier.weight", "classifier.bias"]
    found = constants.curvature(loss, weights, samples)
    # softmax does not see a shift common to all classes: the smallest eigenvalue is 0, and no mu
    assert found.convexity is None
    assert "0 within the accuracy" in found.note
    features = torch.tanh(model.inner(samples["x"])).detach().numpy()
    with_bias = np.hstack([features, np.ones((10, 1))])
    assert 0 < found.smoothness <= constants.smoothness(with_bias, loss="softmax") * (1 + 1e-9)


def test_numeric_and_network_constants_agree_on_ridge() -> None:
    x = np.random.default_rng(0).standard_normal((40, 36))
    y = np.random.default_rng(1).standard_normal(40)

    def loss(weights: dict[str, torch.Tensor], sample: dict[str, torch.Tensor]) -> torch.Tensor:
        w = weights["w"]
        return (w @ sample["x"] - sample["y"]).square() / 2 + 0.1 * w.square().sum() / 2

    samples = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}
    found = constants.curvature(loss, {"w": torch.zeros(36, dtype=torch.float64)}, samples, tolerance=1e-6)
    assert found.smoothness == pytest.approx(constants.smoothness(x, loss="squared", l2=0.1), rel=1e-6)
    assert found.convexity == pytest.approx(constants.convexity(x, loss="squared", l2=0.1), rel=1e-3)
    w = {"w": torch.ones(36, dtype=torch.float64)}
    plain = constants.lipschitz(x, y, np.ones(36), loss="squared")
    free = constants.gradient_norms(lambda a, s: (a["w"] @ s["x"] - s["y"]).square() / 2, w, samples)
    assert free.max() == pytest.approx(plain, rel=1e-12)


@pytest.fixture(scope="module", params=["tiny_bert", "tiny_roberta"])
def encoder(request: pytest.FixtureRequest) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A real encoder with a head, float64, evaluation mode, and four padded rows."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder: Path = request.getfixturevalue(request.param)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder, num_labels=2))
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=seeded(len(name)))
        tensor.data = (tensor.data.new_ones(tensor.shape) if "LayerNorm.weight" in name else 0.0) + 0.1 * noise
    ids = torch.randint(5, 40, (4, 7), generator=seeded(0))
    mask = torch.ones(4, 7, dtype=torch.long)
    mask[0, 4:] = 0
    ids[0, 4:] = model.config.pad_token_id
    return model.double().eval(), {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 1, 0])}


def test_constants_of_a_real_encoder(encoder: tuple[nn.Module, dict[str, torch.Tensor]]) -> None:
    model, samples = encoder
    assert model.config._attn_implementation == "sdpa"  # the fused kernel without a second derivative is the default
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    loss, weights = constants.model_loss(model)
    start = {name: tensor + 0.01 for name, tensor in weights.items()}
    found = constants.network_constants(loss, weights, samples, start=start, tolerance=0.03)
    # the model's own mean loss and gradients, one row after another
    assert found.loss == pytest.approx(float(model(**samples).loss.detach()), rel=1e-9)
    norms = []
    for i in range(4):
        model.zero_grad()
        model(**{name: tensor[i : i + 1] for name, tensor in samples.items()}).loss.backward()
        norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()))
    model.zero_grad(set_to_none=True)
    assert found.lipschitz == pytest.approx(max(norms), rel=1e-8)
    # curvature along the steepest direction lies between the extremes, and a fused encoder is not convex
    gradient = torch.autograd.grad(model(**samples).loss, list(model.parameters()), allow_unused=True)
    flat = [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), gradient, strict=True)]
    size = torch.cat([g.flatten() for g in flat]).norm()
    values = []
    for sign in (-1e-4, 0.0, 1e-4):
        moved = {name: p + sign * g / size for (name, p), g in zip(weights.items(), flat, strict=True)}
        values.append(constants.mean_loss(loss, moved, samples))
    along = (values[0] - 2 * values[1] + values[2]) / 1e-8
    assert found.curvature.lowest <= along <= found.curvature.smoothness * (1 + 0.03)
    assert found.curvature.smoothness > 0
    assert found.curvature.convexity is None
    assert found.distance is not None
    count = sum(tensor.numel() for tensor in weights.values())
    assert found.distance.total == pytest.approx(0.01 * count**0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
    assert not any(module.training for module in model.modules())


def test_a_loss_that_is_linear_in_a_weight_has_no_curvature_there() -> None:
    def loss(weights: dict[str, torch.Tensor], sample: dict[str, torch.Tensor]) -> torch.Tensor:
        return weights["a"] @ sample["x"] + weights["b"].square().sum()

    samples = {"x": torch.ones(3, 2)}
    found = constants.curvature(loss, {"a": torch.ones(2), "b": torch.ones(2), "c": torch.ones(1)}, samples)
    assert (found.smoothness, found.lowest) == (2.0, 0.0)


def test_distance_leaves_out_the_head_where_told() -> None:
    start = {"body.weight": torch.tensor([3.0, 4.0]), "classifier.weight": torch.zeros(2)}
    end = {"body.weight": torch.tensor([3.0, 5.0]), "classifier.weight": torch.full((2,), 100.0)}
    found = constants.distance(start, end, without=["classifier"])
    assert (found.total, found.relative) == (1.0, 0.2)
    assert dict(found.by_tensor) == {"body.weight": 1.0}


def norms(model: nn.Module, samples: dict[str, torch.Tensor]) -> np.ndarray:
    return constants.gradient_norms(*constants.model_loss(model), samples)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, s: constants.model_loss(m.train()), "is in training mode: call model.eval()"),
        (lambda m, s: constants.model_loss(m, frozen=["encoder"]), "no weight of the model has this prefix"),
        (lambda m, s: constants.model_loss(m, frozen=["inner", "classifier"]), "every weight is frozen"),
        (lambda m, s: constants.curvature(*constants.model_loss(m), s, chunk=0), "chunk = 0"),
        (lambda m, s: constants.curvature(*constants.model_loss(m), s, tolerance=0), "tolerance = 0"),
        (
            lambda m, s: constants.curvature(*constants.model_loss(m), s, iterations=1, tolerance=1e-14),
            "no convergence in 1 iterations",
        ),
        (lambda m, s: norms(m, {**s, "x": s["x"][:2]}), "same number"),
        (lambda m, s: norms(m, {name: tensor[:0] for name, tensor in s.items()}), "at least 1"),
        (lambda m, s: norms(m, {**s, "x": s["x"] * torch.nan}), "not finite"),
        (lambda m, s: constants.gradient_norms(lambda w, r: w["a"], {"a": torch.ones(2)}, s), "a single number"),
        (lambda m, s: constants.gradient_norms(lambda w, r: w["a"], {}, s), "at least one floating-point tensor"),
        (lambda m, s: constants.distance({"a": torch.ones(2)}, {"a": torch.ones(3)}), "the same tensors"),
        (lambda m, s: constants.distance({"a": torch.ones(2)}, {"a": torch.ones(2)}, without=["b"]), "no tensor has"),
        (lambda m, s: constants.distance({"a": torch.ones(2)}, {"a": torch.ones(2)}, without=["a"]), "is left"),
    ],
)  # fmt: skip
def test_bad_input_is_named(small: tuple[nn.Module, dict[str, torch.Tensor]], call: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        call(*small)  # type: ignore[operator]
    assert words in str(error.value)
