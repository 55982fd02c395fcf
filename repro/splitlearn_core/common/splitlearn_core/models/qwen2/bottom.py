"""The part of a Qwen2 that reads tokens."""

import copy

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

from ..blocks import rotary_arguments, run_blocks, take_blocks


class Qwen2BottomModel(nn.Module):
    """The token embedding, then the blocks before the first split point."""

    def __init__(self, model: Qwen2ForCausalLM, split_point_1: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.embed_tokens = model.model.embed_tokens
        self.layers = take_blocks(model.model.layers, 0, split_point_1)
        # A copy, because the cut parts may live on different devices. It holds no weights.
        self.rotary_emb = copy.deepcopy(getattr(model.model, "rotary_emb", None))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states ``(batch, length, hidden)`` for ids ``(batch, length)``."""
        hidden_states = self.embed_tokens(input_ids)
        rotary = rotary_arguments(self.rotary_emb, hidden_states)
        return run_blocks(self.layers, self.config, hidden_states, attention_mask, **rotary)
