"""The loss of one sample as a function of the weights, and how it is evaluated over many samples.

A `SampleLoss` takes the weights that count as a dict of tensors and one sample (tensors without a batch axis) and
returns that sample's loss, one number; the mean over samples is taken here, so that no `reduction` can be mistaken.
`model_loss` makes one from a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.argument_checks import flag, mapping, of_kind, several
from stabilitybench.errors import Argument, UserError, shown
from stabilitybench.theory.inputs import Floats

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]
    Samples = Mapping[str, torch.Tensor]
    SampleLoss = Callable[[Weights, Samples], torch.Tensor]


def model_loss(
    model: torch.nn.Module, *, frozen: Sequence[str] = (), regression: bool = False
) -> tuple[SampleLoss, dict[str, torch.Tensor]]:
    """Return the loss of one sample as a function of the model's weights, and these weights (detached copies).

    The model is never changed.  A 0/1 attention mask is made additive beforehand, because reading a mask's content
    is not possible for a batch of per-sample derivatives.

    Parameters
    ----------
    model : torch.nn.Module
        Maps input_ids, attention_mask, ... to an output with `logits`, or to logits (a transformers classifier does);
        in evaluation mode.
    frozen : sequence of str, default ()
        Prefixes of the names of weights that do not count; they stay as they are.
    regression : bool, default False
        Take half the squared error of the one output, in place of cross-entropy.

    Returns
    -------
    loss : callable
        ``loss(weights, sample)``, where a sample holds what the model takes and "labels", a class index (regression: a
        number).
    weights : dict of str to torch.Tensor
        The weights that count, by their names in the model.

    Raises
    ------
    UserError
        For a model in training mode (dropout makes the loss random, batch norm couples the samples), for a prefix that
        no weight has, and where every weight is frozen.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 2, bias=False).eval()
    >>> loss, weights = model_loss(model)
    >>> sample = {"input": torch.ones(2), "labels": torch.tensor(1)}
    >>> round(loss({"weight": torch.zeros(2, 2)}, sample).item(), 4)
    0.6931
    """
    import torch
    from torch.func import functional_call

    of_kind("model", model, "a torch.nn.Module", torch.nn.Module)
    several("frozen", frozen, "prefixes of names", str)
    flag("regression", regression)
    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        raise UserError(f"model_loss: {training[0]} is in training mode: call model.eval(), or the loss is random")
    everything = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    for prefix in frozen:
        if not any(name.startswith(prefix) for name in everything):
            raise UserError(f"model_loss: frozen = {shown(prefix)}: no weight of the model has this prefix")
    free = {name: tensor for name, tensor in everything.items() if not name.startswith(tuple(frozen) or ("\0",))}
    if not free:
        raise UserError("model_loss: every weight is frozen: at least one must count")
    fixed = {name: tensor for name, tensor in everything.items() if name not in free}
    fixed |= {name: tensor.detach().clone() for name, tensor in model.named_buffers()}

    def loss(weights: Weights, sample: Samples) -> torch.Tensor:
        inputs = {name: tensor.unsqueeze(0) for name, tensor in sample.items() if name != "labels"}
        if "attention_mask" in inputs:
            dtype = next(iter(weights.values())).dtype
            hidden = 1 - inputs["attention_mask"][:, None, None, :].to(dtype)
            # not minus infinity, whose second derivatives are not numbers
            inputs["attention_mask"] = hidden * torch.finfo(torch.float32).min
        output = functional_call(model, {**fixed, **weights}, args=(), kwargs=inputs)
        logits: torch.Tensor = getattr(output, "logits", output)[0]
        if regression:
            return (logits.reshape(()) - sample["labels"]).square() / 2
        return torch.nn.functional.cross_entropy(logits, sample["labels"])

    return loss, free


def checked(
    loss: SampleLoss, weights: Weights, samples: Samples, chunk: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return detached weights and the samples, after one evaluation that shows the loss to be a single number.

    Parameters
    ----------
    loss : callable
        ``loss(weights, sample)``.
    weights : mapping of str to torch.Tensor
        Floating-point tensors, at least one.
    samples : mapping of str to torch.Tensor
        Tensors with n >= 1 entries along their first axis.
    chunk : int
        Samples held at once, at least 1.

    Returns
    -------
    point : dict of str to torch.Tensor
        The weights, detached.
    rows : dict of str to torch.Tensor
        The samples.

    Raises
    ------
    UserError
        For anything else.
    """
    import torch

    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise UserError(f"chunk = {shown(chunk)}: must be a whole number of at least 1")
    if not callable(loss):
        raise UserError(Argument("loss", loss), ": must be a function of weights and one sample")
    point = {name: tensor.detach() for name, tensor in tensors("weights", weights).items()}
    rows = dict(tensors("samples", samples))
    lengths = {len(tensor) if tensor.ndim else 0 for tensor in rows.values()}
    if not point or not all(tensor.is_floating_point() for tensor in point.values()):
        raise UserError("weights must be a dict of at least one floating-point tensor")
    if len(lengths) != 1 or lengths == {0}:
        raise UserError(f"samples hold tensors of {sorted(lengths)} rows: all must have the same number, at least 1")
    with torch.no_grad():
        value = loss(point, {name: tensor[0] for name, tensor in rows.items()})
    if value.numel() != 1 or value.ndim:
        raise UserError(f"the loss of one sample has shape {tuple(value.shape)}: must be a single number")
    return point, rows


def tensors(name: str, value: object) -> Mapping[str, torch.Tensor]:
    """Return a mapping of names to tensors.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.

    Raises
    ------
    UserError
        For anything else.
    """
    import torch

    found = mapping(name, value, "names to tensors")
    for key, tensor in found.items():
        of_kind(f"{name}[{shown(key)}]", tensor, "a tensor", torch.Tensor)
    return found


def parts(rows: dict[str, torch.Tensor], chunk: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the samples in parts of at most `chunk`, in their order.

    Parameters
    ----------
    rows : dict of str to torch.Tensor
        Tensors with n entries along their first axis.
    chunk : int
        Entries of a part.

    Yields
    ------
    dict of str to torch.Tensor
        The same names, with up to `chunk` entries each.
    """
    count = len(next(iter(rows.values())))
    for first in range(0, count, chunk):
        yield {name: tensor[first : first + chunk] for name, tensor in rows.items()}


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Use the plain formula for attention: its fused kernels have no second derivative."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


def finite(values: Floats, what: str) -> Floats:
    """Return the values, or refuse them where one is not a finite number.

    Parameters
    ----------
    values : ndarray
        What was computed.
    what : str
        What one of them is, as the error names it.

    Returns
    -------
    ndarray
        `values` itself.

    Raises
    ------
    UserError
        Where a value is NaN or infinite.
    """
    if not np.all(np.isfinite(values)):
        raise UserError(f"{what} is not finite: the weights or the samples are out of range")
    return values
