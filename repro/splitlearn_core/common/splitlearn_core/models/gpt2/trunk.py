"""The middle of a GPT-2."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..blocks import run_blocks, take_blocks


class GPT2TrunkModel(nn.Module):
    """The blocks between the split points."""

    def __init__(self, model: GPT2LMHeadModel, split_point_1: int, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.h = take_blocks(model.transformer.h, split_point_1, split_point_2)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states of the shape given, ``(batch, length, hidden)``."""
        return run_blocks(self.h, self.config, hidden_states, attention_mask)
