"""The pieces of the bridge, each against something known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.integrations.forward_recorder import Noise, Watch, output_of
from stabilitybench.integrations.optimizer import SwitchableAdamW
from stabilitybench.integrations.parameter_swap import Slot, add, placed
from stabilitybench.optim.adam import AdamState, adam_step
from stabilitybench.tasks.base import Task
from support.trainers import model_of

RATES = st.floats(1e-5, 1e-1)
DECAYS = st.floats(0.0, 0.5)


def weights_and_gradients(seed: int, steps: int) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((3, 2), (4,))
    draw = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes * (steps + 1)]
    return draw[:2], [draw[2 * k + 2 : 2 * k + 4] for k in range(steps)]


def run(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], gradients: list[list[torch.Tensor]]) -> None:
    for grads in gradients:
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad.clone()
        optimizer.step()


class TestSwitchableAdamW:
    @settings(deadline=None, derandomize=True, max_examples=25)
    @given(st.integers(0, 1000), RATES, DECAYS, st.floats(0.0, 0.99), st.floats(0.0, 0.999))
    def test_with_correction_it_is_torchs(
        self, seed: int, rate: float, decay: float, beta1: float, beta2: float
    ) -> None:
        start, gradients = weights_and_gradients(seed, 4)
        settings_ = {"lr": rate, "betas": (beta1, beta2), "eps": 1e-6, "weight_decay": decay}
        both = []
        for kind in (SwitchableAdamW, torch.optim.AdamW):
            weights = [nn.Parameter(w.clone()) for w in start]
            run(kind(weights, **settings_), weights, gradients)  # type: ignore[operator]
            both.append(weights)
        for ours, theirs in zip(*both, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)

    @settings(deadline=None, derandomize=True, max_examples=25)
    @given(st.integers(0, 1000), RATES, DECAYS, st.booleans(), st.sampled_from(["before", "after"]))
    def test_is_the_loops_own(self, seed: int, rate: float, decay: float, corrected: bool, order: str) -> None:
        start, gradients = weights_and_gradients(seed, 3)
        weights = [nn.Parameter(w.clone()) for w in start]
        groups = [{"params": weights[:1], "weight_decay": decay}, {"params": weights[1:], "weight_decay": 0.0}]
        optimizer = SwitchableAdamW(groups, lr=rate, bias_correction=corrected, decay_order=order)
        run(optimizer, weights, gradients)
        params, state = {"a": start[0].clone(), "b": start[1].clone()}, AdamState()
        for grads in gradients:
            adam_step(
                params, dict(zip("ab", grads, strict=True)), state, rates={"a": rate, "b": rate},
                decays={"a": decay, "b": 0.0}, bias_correction=corrected, decay_order=order,
            )  # fmt: skip
        for ours, theirs in zip(weights, params.values(), strict=True):
            torch.testing.assert_close(ours.data, theirs, rtol=1e-13, atol=1e-15)

    def test_continues_from_its_state(self) -> None:
        start, gradients = weights_and_gradients(1, 4)
        whole, parts = ([nn.Parameter(w.clone()) for w in start] for _ in range(2))
        run(SwitchableAdamW(whole, lr=0.1, bias_correction=False), whole, gradients)
        first = SwitchableAdamW(parts, lr=0.1, bias_correction=False)
        run(first, parts, gradients[:2])
        second = SwitchableAdamW(parts, lr=0.5)
        second.load_state_dict(first.state_dict())
        run(second, parts, gradients[2:])
        for a, b in zip(whole, parts, strict=True):
            assert torch.equal(a, b)

    def test_a_weight_without_gradient_stays_and_counts_no_step(self) -> None:
        moved, still = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        optimizer = SwitchableAdamW([moved, still], lr=0.1, weight_decay=0.5)
        moved.grad = torch.ones(2)
        optimizer.step()
        assert torch.equal(still, torch.ones(2))
        still.grad = torch.ones(2)
        optimizer.step()
        # Its own first step: the decay, and one rate.
        torch.testing.assert_close(still.data, torch.full((2,), 1 * (1 - 0.1 * 0.5) - 0.1))

    def test_a_closure_is_called_with_gradients(self) -> None:
        weight = nn.Parameter(torch.ones(1))
        optimizer = SwitchableAdamW([weight], lr=0.1)

        def closure() -> Any:
            loss = (weight**2).sum()
            loss.backward()
            return loss

        assert float(optimizer.step(closure).detach()) == 1.0
        assert float(weight.detach()) < 1


class TestPlacing:
    def test_what_stood_there_comes_back_after_an_error(self) -> None:
        layer = nn.Linear(2, 2)
        weight, bias = layer.weight, layer.bias
        slots = {name: Slot.of(layer, name) for name in ("weight", "bias")}

        def fail() -> None:
            with placed(slots, {"weight": torch.zeros(2, 2), "bias": None, "unknown": torch.zeros(1)}):
                assert "bias" not in dict(layer.named_parameters())
                raise KeyError("x")

        with pytest.raises(KeyError):
            fail()
        assert layer.weight is weight
        assert layer.bias is bias

    def test_gradients_flow_to_what_the_weights_came_from(self) -> None:
        layer, x = nn.Linear(3, 1), torch.tensor([[1.0, 2.0, 3.0]])
        slots = {name: Slot.of(layer, name) for name in ("weight", "bias")}
        with placed(slots, {"weight": 2 * layer.weight}):
            layer(x).sum().backward()
        assert torch.equal(layer.weight.grad, 2 * x)  # type: ignore[arg-type]

    def test_nested(self) -> None:
        layer = nn.Linear(1, 1, bias=False)
        slots = {"weight": Slot.of(layer, "weight")}
        one, two = torch.ones(1, 1), torch.full((1, 1), 2.0)
        with placed(slots, {"weight": one}):
            with placed(slots, {"weight": two}):
                assert float(layer(one)) == 2
            assert float(layer(one)) == 1

    def test_added_tensors_share_what_they_need_and_leave_nothing(self) -> None:
        model = nn.Sequential(nn.Linear(1, 1))
        before = [name for name, _ in model.named_modules()], [name for name, _ in model.named_parameters()]
        undo = [add(model, f"0.heads.{k}.{leaf}", torch.zeros(1)) for k in (1, 2) for leaf in ("weight", "bias")]
        undo.append(add(model, "0.lora_A", torch.zeros(2)))
        assert len(dict(model.named_parameters())) == 7
        for step in reversed(undo):
            step()
        assert before == ([n for n, _ in model.named_modules()], [n for n, _ in model.named_parameters()])


class TestWatch:
    def batch(self) -> TokenBatch:
        tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
        return TokenBatch(tokens, mask, None, torch.tensor([0, 1]))

    @pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "albert"])
    def test_notes_what_transformers_itself_gives_out(
        self, family: str, encoders: dict[str, Encoder], task: Task
    ) -> None:
        model, batch = model_of(encoders[family], task).eval(), self.batch()
        watch = Watch(model, encoders[family].layout)
        with watch.looking() as seen, torch.no_grad():
            out = model(input_ids=batch.tokens, attention_mask=batch.mask, output_hidden_states=True)
        found = output_of(seen, {}, batch, lambda noise, masks: found)
        real = batch.mask[..., None] == 1
        assert found.hidden is not None
        assert len(found.hidden) == len(out.hidden_states) == 3
        for ours, theirs in zip(found.hidden, out.hidden_states, strict=True):
            assert torch.equal(ours, torch.where(real, theirs, 0.0))
        assert torch.equal(found.logits, out.logits)
        output = model.get_submodule(encoders[family].layout.parts.output)
        assert torch.equal(output(found.features), out.logits)
        words = model.get_input_embeddings()(batch.tokens)
        assert found.embeddings is not None
        assert torch.equal(found.embeddings, torch.where(real, words, 0.0))

    def test_noise_is_added_where_it_should(self, bert: Encoder, task: Task) -> None:
        model, batch = model_of(bert, task).eval(), self.batch()
        watch = Watch(model, bert.layout)
        inputs = {"input_ids": batch.tokens, "attention_mask": batch.mask}
        states = []
        noise = torch.zeros(2, 4, 16, dtype=torch.float64)
        noise[0, 1, 0] = 0.5  # the same in all channels would be taken out by the norm
        for added in ({}, {"layer.0": noise}, {"embeddings": noise}):
            with watch.looking(added) as seen, torch.no_grad():
                model(**inputs)
            states.append(seen.states)
        assert torch.equal(states[0][0], states[1][0])
        torch.testing.assert_close(states[1][1], states[0][1] + noise)
        # Through the embeddings' norm it changes its own token alone, before the layers mix them.
        changed = (states[2][0] != states[0][0]).any(-1)
        assert changed.tolist() == [[False, True, False, False], [False] * 4]

    def test_sees_nothing_unasked_and_goes_away(self, bert: Encoder, task: Task) -> None:
        model, batch = model_of(bert, task).eval(), self.batch()
        watch = Watch(model, bert.layout)
        with watch.looking() as seen:
            pass
        with torch.no_grad():
            model(input_ids=batch.tokens)
        assert seen.states == []
        watch.close()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_noise_repeats_what_was_drawn_and_leaves_the_generator() -> None:
    with torch.random.fork_rng(devices=[]):
        noise = Noise.now(torch.device("cpu"))
        drawn = torch.rand(3)
        state = torch.get_rng_state()
        with noise.again():
            assert torch.equal(torch.rand(3), drawn)
        with noise.again(5):
            other = torch.rand(3)
            assert not torch.equal(other, drawn)
        with noise.again(5):
            assert torch.equal(torch.rand(3), other)
        assert torch.equal(torch.get_rng_state(), state)
