"""The part of a GPT-2 that reads tokens."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..part import Part


class GPT2BottomModel(Part):
    """Token and position embeddings, then the blocks before the first split point."""

    def __init__(self, model: GPT2LMHeadModel, split_point_1: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__(model, "h", 0, split_point_1, ln_f=nn.Identity())

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states ``(batch, length, hidden)`` for ids ``(batch, length)``."""
        return self.run(input_ids=input_ids, attention_mask=attention_mask)
