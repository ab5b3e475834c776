"""What one would write without the leave-one-out engine: two baselines, kept readable, one run after another."""

import numpy as np
import torch


def torch_script(x, y, left_out, steps, rate):
    """The straightforward script: a module, autograd and an optimizer, for one left-out row; returns the weights."""
    keep = torch.arange(len(x)) != left_out
    rows, labels = torch.from_numpy(x)[keep], torch.from_numpy(y)[keep]
    head = torch.nn.Linear(x.shape[1], 1, bias=False, dtype=rows.dtype)
    torch.nn.init.zeros_(head.weight)
    loss = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(head.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(head(rows).squeeze(1), labels).backward()
        optimizer.step()
    return head.weight.detach().numpy()[0]


def numpy_loop(x, y, left_out, steps, rate):
    """The tuned loop: gradient by hand, labels folded into the rows, buffers reused; returns the weights."""
    rows = np.delete(x * (2 * y - 1)[:, None], left_out, axis=0)
    weights = np.zeros(x.shape[1], dtype=x.dtype)
    wrong, gradient = np.empty(len(rows), dtype=x.dtype), np.empty_like(weights)
    pace = x.dtype.type(rate / len(rows))
    for _ in range(steps):
        np.matmul(rows, weights, out=wrong)
        np.exp(wrong, out=wrong)
        wrong += 1
        np.reciprocal(wrong, out=wrong)
        np.matmul(wrong, rows, out=gradient)
        gradient *= pace
        weights += gradient
    return weights


def numpy_squared_loop(x, y, left_out, steps, rate):
    """The same for the squared loss."""
    rows, targets = np.delete(x, left_out, axis=0), np.delete(y, left_out)
    weights = np.zeros(x.shape[1], dtype=x.dtype)
    residual, gradient = np.empty(len(rows), dtype=x.dtype), np.empty_like(weights)
    pace = x.dtype.type(rate / len(rows))
    for _ in range(steps):
        np.matmul(rows, weights, out=residual)
        residual -= targets
        np.matmul(residual, rows, out=gradient)
        gradient *= pace
        weights -= gradient
    return weights
