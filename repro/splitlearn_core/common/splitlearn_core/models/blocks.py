"""Taking transformer blocks out of a model and running them outside it."""

import torch
from torch import nn
from transformers import PretrainedConfig

from .masks import CausalMasks, positions_of


def take_blocks(blocks: nn.ModuleList, start: int, stop: int) -> nn.ModuleDict:
    """Return ``blocks[start:stop]``, each under its index in the uncut model.

    A part's parameters so keep their full names, and the state dicts of the parts, put together,
    are the state dict of the whole.
    """
    return nn.ModuleDict({str(index): blocks[index] for index in range(start, stop)})


def run_blocks(
    blocks: nn.ModuleDict,
    config: PretrainedConfig,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **arguments: object,
) -> torch.Tensor:
    """Run the blocks one after the other on ``(batch, length, hidden)``; return the same shape."""
    masks = CausalMasks(config, hidden_states, attention_mask)
    for index, block in blocks.items():
        mask = masks.of_block(int(index))
        output = block(hidden_states, attention_mask=mask, use_cache=False, **arguments)
        # A block returned a tuple of what was asked for until transformers 4.5x; now the tensor.
        hidden_states = output[0] if isinstance(output, tuple) else output
    return hidden_states


def rotary_arguments(
    rotary_emb: nn.Module | None, hidden_states: torch.Tensor
) -> dict[str, object]:
    """Return what blocks with rotary position embeddings take besides states and mask.

    Args:
        rotary_emb: The model's module that computes cosines and sines for all blocks, ``None``
            for releases in which each block's attention has its own.
        hidden_states: ``(batch, length, hidden)``.
    """
    position_ids = positions_of(hidden_states)
    if rotary_emb is None:
        return {"position_ids": position_ids}
    embeddings = rotary_emb(hidden_states, position_ids)
    return {"position_ids": position_ids, "position_embeddings": embeddings}
