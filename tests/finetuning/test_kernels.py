"""Fused kernels are held against torch before they are used; how they hash is read in what they compile to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stabilitybench.finetuning import kernels as checked
from stabilitybench.finetuning.kernels import Kernels, faults, kernels
from stabilitybench.finetuning.masks import Addresses, drop
from stabilitybench.finetuning.packing import Packing

CPU = torch.device("cpu")


def addresses(key: Tensor, row: Tensor, position: Tensor, rows: int, first_row: int) -> tuple[Tensor, Tensor, Tensor]:
    packing = Packing(rows, 96, row * 96 + position, torch.zeros(0))
    at = Addresses.of(key, packing, first_row)
    return at.rows, at.tokens, at.token_rows


def attention(
    query: Tensor, key: Tensor, value: Tensor, first: Tensor, lengths: Tensor, length: int, state: Tensor, place: int,
    rate: float, scale: float,
) -> Tensor:  # fmt: skip
    out = torch.zeros_like(query)
    for row, (start, count) in enumerate(zip(first.tolist(), lengths.tolist(), strict=True)):
        q, k, v = (t[start : start + count].transpose(0, 1) for t in (query, key, value))
        weights = torch.softmax(q @ k.transpose(1, 2) * scale, -1)
        read = drop(weights[None], state[row : row + 1], place, rate)[0] @ v
        out = out.index_put((torch.arange(start, start + count),), read.transpose(0, 1))
    return out


def adam(
    weight: Tensor, grad: Tensor, first: Tensor, second: Tensor, shadow: Tensor, *, factor: Tensor | None, rate: Tensor,
    corrections: Tensor, decay: float, betas: tuple[float, float], epsilon: float, late: bool,
) -> None:  # fmt: skip
    g = grad if factor is None else grad * factor
    first.lerp_(g, 1 - betas[0])
    second.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
    move = rate / corrections[0] * first / (second.sqrt() / corrections[1] + epsilon)
    shrink = 1 - rate * decay
    weight.copy_((weight - move) * shrink if late else weight * shrink - move)
    shadow.copy_(weight)


#: What the kernels do, in torch's words.
SOUND = Kernels(drop, addresses, attention, adam)


def raising(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no such instruction")


def late_whatever_is_asked(*tensors: Tensor, **how: Any) -> None:
    adam(*tensors, **{**how, "late": True})


def unclipped(*tensors: Tensor, **how: Any) -> None:
    adam(*tensors, **{**how, "factor": None})


def test_kernels_that_do_what_torch_does_have_no_faults() -> None:
    assert faults(SOUND, CPU) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"dropout": lambda x, state, place, rate: drop(x, state, place ^ 1, rate)}, "dropout differs"),
        ({"dropout": lambda x, *rest: drop(x.detach(), *rest) + 0 * x}, "dropout differs"),  # no gradient
        ({"addresses": lambda *a: addresses(*a[:4], 0)}, "addresses differs"),  # micro-batches all begin at row 0
        ({"attention": lambda *a: attention(*a[:7], a[7] + 1, *a[8:])}, "attention differs"),  # other masks
        ({"attention": lambda *a: attention(*a[:8], 0.0, a[9])}, "attention differs"),  # no dropout
        ({"attention": lambda *a: attention(*a) * torch.nan}, "attention differs"),
        ({"adam": late_whatever_is_asked}, "Adam differs"),
        ({"adam": unclipped}, "Adam differs"),
        ({"adam": raising}, "Adam fails (RuntimeError)"),
    ],
)
def test_a_broken_kernel_is_found(broken: dict[str, Any], told: str) -> None:
    assert faults(replace(SOUND, **broken), CPU) == [told]


def test_a_device_whose_kernels_fail_uses_torch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "triton", object())
    monkeypatch.setattr(checked, "faults", lambda *_: ["Adam differs"])
    find = kernels.__wrapped__
    with pytest.warns(UserWarning, match="not used on cuda:0, since they do not compute there .*: Adam differs"):
        assert find(torch.device("cuda", 0)) is None
    monkeypatch.setattr(checked, "faults", lambda *_: [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(find(torch.device("cuda", 0)), Kernels)
        assert find(CPU) is None


#: Runs in a process of its own, since Triton decides on its interpreter when it is imported.
INTERPRETED = """
import json, torch
from dataclasses import replace
from stabilitybench.finetuning.kernels import Kernels, faults
held, cpu = Kernels(), torch.device("cpu")
broken = replace(
    held,
    dropout=lambda x, state, place, rate: held.dropout(x, state, place, rate / 2),
    attention=lambda *a: held.attention(*a[:7], a[7] ^ 4, *a[8:]),
    addresses=lambda *a: tuple(t ^ 1 for t in held.addresses(*a)),
    adam=lambda *a, **k: held.adam(*a, **{**k, "decay": 0.0}),
)
print(json.dumps([faults(held, cpu), faults(broken, cpu)]))
"""


def test_interpreted_kernels_do_what_torch_does() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-W", "ignore", "-c", INTERPRETED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    sound, broken = json.loads(done.stdout)
    assert sound == []
    assert broken == ["addresses differs", "dropout differs", "attention differs", "Adam differs"]


CONSTANTS = {"DROP": True, "D": 64, "N": 64, "AXES": 3, "BLOCK": 1024, "LATE": True, "CLIP": True, "SHADOW": True}
TYPES = {
    **dict.fromkeys(("first_ptr", "length_ptr", "row_ptr", "position_ptr"), "*i64"),
    **dict.fromkeys(("state_ptr", "key_ptr", "rows_ptr", "tokens_ptr", "token_rows_ptr"), "*i32"),
    **dict.fromkeys(("lse_ptr", "delta_ptr"), "*fp32"),
    **dict.fromkeys(("factor", "scale"), "fp32"),
}


def compiled(kernel: Any) -> str:
    """Return the intermediate code of a kernel for an H100, which need not be there."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def of(name: str) -> str:
        return "constexpr" if name in CONSTANTS else TYPES.get(name, "*bf16" if name.endswith("_ptr") else "i32")

    names = kernel.arg_names
    constants = {(names.index(name),): value for name, value in CONSTANTS.items() if name in names}
    source = ASTSource(fn=kernel, signature={name: of(name) for name in names}, constexprs=constants)
    return str(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ttir"])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dropout", "_drop"), ("dropout", "_hash"), ("attention", "_forward"), ("attention", "_backward_queries"),
        ("attention", "_backward_keys"),
    ],
)  # fmt: skip
def test_every_kernel_hashes_in_32_bits(module: str, name: str) -> None:
    """A bound of 64 bits would carry over into the hash, whose products have to wrap around at 32."""
    pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET"):
        pytest.skip("kernels are interpreted here")
    kernel = getattr(getattr(checked, f"{module}_kernel"), name)
    code = compiled(kernel)
    hashing = [line for line in code.splitlines() if re.search(r"-?(2048144789|1028477387|1640531535)", line)]
    assert hashing
    assert {found for line in hashing for found in re.findall(r"(?:\b|x)(i32|i64)\b", line)} == {"i32"}
    assert set(re.findall(r"arith\.shrsi .* : (?:tensor<[\dx]+x)?(i\d+)", code)) == {"i32"}
