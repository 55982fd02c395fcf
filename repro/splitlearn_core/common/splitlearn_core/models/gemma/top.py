"""The part of a Gemma that predicts tokens."""

import copy

import torch
from torch import nn
from transformers import GemmaForCausalLM

from ..blocks import rotary_arguments, run_blocks, take_blocks


class GemmaTopModel(nn.Module):
    """The blocks from the second split point on, the final norm and the head.

    Gemma ties the head to the embedding: ``top.lm_head.weight`` and ``bottom.embed_tokens.weight``
    are the same tensor, as in the uncut model. Moved apart, to two devices or two machines, they
    become two, and keeping them equal is up to the caller.
    """

    def __init__(self, model: GemmaForCausalLM, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.layers = take_blocks(model.model.layers, split_point_2, len(model.model.layers))
        self.norm = model.model.norm
        self.rotary_emb = copy.deepcopy(getattr(model.model, "rotary_emb", None))
        self.lm_head = model.lm_head

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return logits ``(batch, length, vocabulary)``."""
        rotary = rotary_arguments(self.rotary_emb, hidden_states)
        hidden_states = run_blocks(
            self.layers, self.config, hidden_states, attention_mask, **rotary
        )
        return self.lm_head(self.norm(hidden_states))
