"""The middle of a Qwen2."""

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

from ..part import Part


class Qwen2TrunkModel(Part):
    """The blocks between the split points."""

    def __init__(self, model: Qwen2ForCausalLM, split_point_1: int, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        absent = {"embed_tokens": nn.Identity(), "norm": nn.Identity()}
        super().__init__(model, "layers", split_point_1, split_point_2, **absent)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states of the shape given, ``(batch, length, hidden)``."""
        return self.run(inputs_embeds=hidden_states, attention_mask=attention_mask)
