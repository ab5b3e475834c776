"""Sizes that a configuration names: refused where such a model would fill the memory before it meets its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stabilitybench.errors import UserError, shown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stabilitybench.encoders.layout import Architecture

#: Entries of config.json that say how often something is built; and the most of them, and of any other number there.
LAYER_COUNTS = ("num_hidden_layers", "n_layers", "num_hidden_groups", "inner_group_num")
MAX_LAYERS, MAX_SIZE = 256, 10**9
#: Numbers that a model may have beyond twice those of its checkpoint: heads and poolers are small.
MAX_NEW = 10**8


def sizes(name: str, config: Mapping[str, Any], parts: Architecture) -> tuple[int, int, int, float]:
    """Return layers, first position, positions and the SD of new weights, as a configuration names them.

    Parameters
    ----------
    name : str
        Of the encoder, for the message.
    config : mapping of str to object
        The content of config.json.
    parts : Architecture
        Of its family.

    Raises
    ------
    UserError
        For what is no number, and for numbers that no encoder has.

    Examples
    --------
    >>> from stabilitybench.encoders.layout import ARCHITECTURES
    >>> sizes("mine", {"num_hidden_layers": 4}, ARCHITECTURES["bert"])
    (4, 0, 512, 0.02)
    """
    for key, value in config.items():
        most = MAX_LAYERS if key in LAYER_COUNTS else MAX_SIZE
        if isinstance(value, (int, float)) and most < abs(value) < math.inf:
            raise UserError(f'encoder "{name}": its config.json has {key} = {shown(value)}: must be at most {most}')
    try:
        depth = int(config.get(parts.depth_key, config.get("num_hidden_layers", 12)))
        first = int(config.get("pad_token_id", 1)) + 1 if parts.positions_after_padding else 0
        positions = int(config.get("max_position_embeddings", 512)) - first
        spread = float(config.get("initializer_range", 0.02))
    except (TypeError, ValueError, OverflowError):
        raise UserError(f'encoder "{name}": its config.json has a size that is not a number') from None
    if not 1 <= depth <= MAX_LAYERS or positions < 1:
        raise UserError(
            f'encoder "{name}": its config.json says {depth} layers and {positions} positions; at least 1 is needed, '
            f"and at most {MAX_LAYERS} layers"
        )
    return depth, first, positions, spread


def check_numbers(name: str, shell: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise UserError where a model holds far more numbers than its checkpoint does.

    Parameters
    ----------
    name : str
        Of the encoder, for the message.
    shell : torch.nn.Module
        The model that its configuration describes, on the "meta" device, where it takes no memory.
    tensors : mapping of str to Tensor
        The checkpoint.
    """
    wanted, held = (sum(t.numel() for t in these) for these in (shell.parameters(), tensors.values()))
    if wanted > 2 * held + MAX_NEW:
        raise UserError(
            f'encoder "{name}": its config.json describes a model of {wanted} numbers, its weights hold {held}'
        )
