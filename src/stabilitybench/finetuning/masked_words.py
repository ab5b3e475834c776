"""The stage that fills in hidden words of the task's own texts: masked-language modelling (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stabilitybench.encoders import Encoder
from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.encoders.loading import load_model
from stabilitybench.encoders.masking import IGNORED, hide_words
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.dropout import ATTENTION, addresses, install
from stabilitybench.finetuning.network import packed_inputs
from stabilitybench.finetuning.packing import Packing
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.optim.adam import AdamState, adam_step
from stabilitybench.optim.clipping import clip
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers.stages import MaskedWords
from stabilitybench.tasks.base import Task


def fill_in_words(
    encoder: Encoder, task: Task, recipe: Recipe, stage: MaskedWords, tensors: Mapping[str, Tensor], seeds: Seeds,
    device: torch.device,
) -> tuple[dict[str, Tensor], dict[str, Any]]:  # fmt: skip
    """Train an encoder to fill in hidden words of the training texts of a task; labels are not read.

    The output layer is the checkpoint's own where it has one, else a new one tied to the word embeddings.  Dropout
    has the encoder's own rates.  Cross-entropy of the chosen words; the schedule is linear; batches are never cut.

    Parameters
    ----------
    encoder : Encoder
        Pretrained tensors and tokenizer.
    task : Task
        Gives the training texts.
    recipe : Recipe
        Batch size, warm-up, decay, moments, clipping, length of text and precision.
    stage : MaskedWords
        Epochs, peak rate (given by now) and fraction of the words.
    tensors : mapping of str to Tensor
        Take the place of pretrained ones of their name, as stages before leave them.
    seeds : Seeds
        Of this stage alone: order of the rows, words, dropout and new tensors.
    device : torch.device
        Where the training runs.

    Returns
    -------
    tensors : dict of str to Tensor
        Those of the encoder that were trained, by name.
    record : dict
        `steps`, and `first_loss` and `last_loss`: means over the first and the last tenth of the steps.

    Raises
    ------
    UserError
        Where the tokenizer has no mask token, or cannot be used.
    """
    tokenizer = encoder.tokenizer()
    if tokenizer.mask_token_id is None:
        raise UserError(f'encoder "{encoder.name}": its tokenizer has no mask token, so no word can be hidden')
    module = _module(encoder, tensors, seeds).to(device)
    dropouts = install(module)
    module.set_attn_implementation(ATTENTION)  # type: ignore[operator]
    module.train()
    params = dict(module.named_parameters())
    chosen: list[Tensor] = []
    # The output layer is wide: it reads the chosen tokens alone.
    module.get_submodule(encoder.layout.parts.words).register_forward_pre_hook(
        lambda _, inputs: (inputs[0][chosen[0]],)
    )
    split = data.tokenise(encoder, task, text_length(encoder, recipe.max_length)).train
    total = max(1, round(stage.epochs * -(-len(split) // recipe.batch_size)))
    decays = {n: 0.0 if is_bias(n) or is_norm(n) else recipe.weight_decay for n in params}
    moments = AdamState()
    assert stage.rate is not None  # resolved before
    losses = []
    for step, rows in enumerate(data.order(len(split), recipe.batch_size, total, seeds)):
        batch = split.batch(rows)
        words = (batch.mask.numpy() == 1) & ~np.isin(batch.tokens.numpy(), tokenizer.all_special_ids)
        visible, targets = hide_words(
            batch.tokens.numpy(), words, int(tokenizer.mask_token_id), (0, len(tokenizer)), stage.mask,
            seeds.generator("dropout", "words", f"step {step}"),
        )  # fmt: skip
        packing = Packing.of(batch.mask)
        wanted = packing.pack(torch.from_numpy(targets))
        chosen[:] = [(wanted != IGNORED).to(device)]
        if not bool(chosen[0].any()):
            continue
        hidden = data.TokenBatch(torch.from_numpy(visible), batch.mask, batch.segments, batch.labels).to(device)
        packing = Packing.of(hidden.mask)
        at = addresses(seeds.key("dropout", f"step {step}"), packing)
        for part in dropouts.values():
            part.addresses, part.calls = at, 0
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = module(**packed_inputs(encoder.layout, hidden, packing)).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, -2).float(), wanted[wanted != IGNORED].to(device))
        grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True, materialize_grads=True)
        clipped = clip(dict(zip(params, grads, strict=True)), recipe.clip)
        rate = stage.rate * multiplier("linear", step, total, recipe.warmup)
        adam_step(
            params, clipped, moments, rates=dict.fromkeys(params, rate), decays=decays, betas=recipe.betas,
            epsilon=recipe.epsilon,
        )  # fmt: skip
        losses.append(float(loss.detach()))
    known = encoder.pretrained_classifier(task.outputs).pretrained
    trained = {n: p.detach().clone() for n, p in params.items() if n in known}
    tenth = max(1, len(losses) // 10)
    means = {"first_loss": losses[:tenth], "last_loss": losses[-tenth:]}
    return trained, {"steps": total, **{name: float(np.mean(part)) if part else 0.0 for name, part in means.items()}}


def _module(encoder: Encoder, tensors: Mapping[str, Tensor], seeds: Seeds) -> nn.Module:
    """Load the model that fills in words; what the checkpoint lacks is drawn from `seeds`."""
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    module, lacking = load_model(encoder, MODEL_FOR_MASKED_LM_MAPPING)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in tensors:
                parameter.copy_(tensors[name])
            elif name in lacking:
                if is_norm(name) and not is_bias(name):
                    parameter.fill_(1.0)
                elif is_bias(name):
                    parameter.zero_()
                else:
                    draw = seeds.generator("init", "words", name).standard_normal(tuple(parameter.shape), np.float32)
                    parameter.copy_(torch.from_numpy(draw) * encoder.layout.initializer_range)
    return module
