"""The part of a GPT-2 that reads tokens."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..blocks import run_blocks, take_blocks
from ..masks import positions_of


class GPT2BottomModel(nn.Module):
    """Token and position embeddings, then the blocks before the first split point."""

    def __init__(self, model: GPT2LMHeadModel, split_point_1: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.wte = model.transformer.wte
        self.wpe = model.transformer.wpe
        self.drop = model.transformer.drop
        self.h = take_blocks(model.transformer.h, 0, split_point_1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states ``(batch, length, hidden)`` for ids ``(batch, length)``."""
        hidden_states = self.drop(self.wte(input_ids) + self.wpe(positions_of(input_ids)))
        return run_blocks(self.h, self.config, hidden_states, attention_mask)
