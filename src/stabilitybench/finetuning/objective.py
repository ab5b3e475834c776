"""The training loss with penalties, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.network import Network
from stabilitybench.finetuning.tensors import Params
from stabilitybench.stabilizers import Composition, Context


@dataclass(frozen=True, eq=False)
class Objective:
    """What is minimised, as a function of the trained weights and of some rows.

    Attributes
    ----------
    network : Network
        The classifier.
    composition : Composition
        Gives forward weights and penalties.
    frozen : mapping of str to Tensor
        The tensors that are read and not trained.
    micro_batch : int or None
        Most rows of a forward pass; None: the whole batch.
    """

    network: Network
    composition: Composition
    frozen: Mapping[str, Tensor]
    micro_batch: int | None = None

    def loss(self, leaves: Params, part: TokenBatch, ctx: Context) -> Tensor:
        """Return the training loss of some rows, penalties included.

        Parameters
        ----------
        leaves : dict of str to Tensor
            The trained weights; gradients flow to them.
        part : TokenBatch
            The rows.
        ctx : Context
            Of the step under way; decides the dropout masks.
        """
        weights = self.composition.forward_weights({**leaves, **self.frozen}, ctx)
        read = bool(self.composition.changing("penalty"))
        forward = self.network(weights, part, ctx.dropout_key, hidden=read)
        loss = ctx.task.loss(forward.logits, part.labels)
        for penalty in self.composition.penalties(forward, part, ctx):
            loss = loss + penalty
        return loss

    def gradient(self, params: Params, batch: TokenBatch, ctx: Context) -> tuple[Tensor, Params]:
        """Return the loss with penalties and its gradient; micro-batches are summed by their share of rows.

        Parameters
        ----------
        params : dict of str to Tensor
            The trained weights.
        batch : TokenBatch
            The rows of a step.
        ctx : Context
            Of the step under way.
        """
        leaves = {name: t.detach().requires_grad_() for name, t in params.items()}
        loss_sum = torch.zeros((), device=batch.labels.device)
        sums: Params = {}
        for part in batch.parts(self.micro_batch):
            share = len(part) / len(batch)
            loss = self.loss(leaves, part, ctx) * share
            grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            loss_sum = loss_sum + loss.detach()
            sums = {n: g if n not in sums else sums[n] + g for n, g in zip(leaves, grads, strict=True)}
        return loss_sum, sums
