"""The part of a Gemma that reads tokens."""

import copy

import torch
from torch import nn
from transformers import GemmaForCausalLM

from ..blocks import rotary_arguments, run_blocks, take_blocks


class GemmaBottomModel(nn.Module):
    """The scaled token embedding, then the blocks before the first split point."""

    def __init__(self, model: GemmaForCausalLM, split_point_1: int) -> None:
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
        hidden_states = self._embed(input_ids)
        rotary = rotary_arguments(self.rotary_emb, hidden_states)
        return run_blocks(self.layers, self.config, hidden_states, attention_mask, **rotary)

    def _embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Gemma multiplies embeddings by the root of their width, rounded to their precision.

        Recent releases do so in the embedding, older ones in the model's ``forward``.
        """
        embedded = self.embed_tokens(input_ids)
        if hasattr(self.embed_tokens, "embed_scale"):
            return embedded
        return embedded * torch.tensor(self.config.hidden_size**0.5, dtype=embedded.dtype)
