"""The middle of a Gemma."""

import torch
from torch import nn
from transformers import GemmaForCausalLM

from ..part import Part
from .scale import take_unscaled


class GemmaTrunkModel(Part):
    """The blocks between the split points."""

    def __init__(self, model: GemmaForCausalLM, split_point_1: int, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        absent = {"embed_tokens": nn.Identity(), "norm": nn.Identity()}
        super().__init__(model, "layers", split_point_1, split_point_2, **absent)
        take_unscaled(self, model)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states of the shape given, ``(batch, length, hidden)``."""
        return self.run(inputs_embeds=hidden_states, attention_mask=attention_mask)
