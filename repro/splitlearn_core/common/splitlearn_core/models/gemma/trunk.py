"""The middle of a Gemma."""

import copy

import torch
from torch import nn
from transformers import GemmaForCausalLM

from ..blocks import rotary_arguments, run_blocks, take_blocks


class GemmaTrunkModel(nn.Module):
    """The blocks between the split points."""

    def __init__(self, model: GemmaForCausalLM, split_point_1: int, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.layers = take_blocks(model.model.layers, split_point_1, split_point_2)
        self.rotary_emb = copy.deepcopy(getattr(model.model, "rotary_emb", None))

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states of the shape given, ``(batch, length, hidden)``."""
        rotary = rotary_arguments(self.rotary_emb, hidden_states)
        return run_blocks(self.layers, self.config, hidden_states, attention_mask, **rotary)
