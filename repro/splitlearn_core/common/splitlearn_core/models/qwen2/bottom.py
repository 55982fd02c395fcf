"""The part of a Qwen2 that reads tokens."""

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

from ..part import Part


class Qwen2BottomModel(Part):
    """The token embedding, then the blocks before the first split point."""

    def __init__(self, model: Qwen2ForCausalLM, split_point_1: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__(model, "layers", 0, split_point_1, norm=nn.Identity())

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states ``(batch, length, hidden)`` for ids ``(batch, length)``."""
        return self.run(input_ids=input_ids, attention_mask=attention_mask)
