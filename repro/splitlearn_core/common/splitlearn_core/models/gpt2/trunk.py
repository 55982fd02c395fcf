"""The middle of a GPT-2."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..part import Part
from .positions import NoPositions


class GPT2TrunkModel(Part):
    """The blocks between the split points."""

    def __init__(self, model: GPT2LMHeadModel, split_point_1: int, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        absent = {"wte": nn.Identity(), "wpe": NoPositions(), "drop": nn.Identity()}
        super().__init__(model, "h", split_point_1, split_point_2, **absent, ln_f=nn.Identity())

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return hidden states of the shape given, ``(batch, length, hidden)``."""
        return self.run(inputs_embeds=hidden_states, attention_mask=attention_mask)
