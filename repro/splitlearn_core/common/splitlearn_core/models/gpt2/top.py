"""The part of a GPT-2 that predicts tokens."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..part import Part
from .positions import NoPositions


class GPT2TopModel(Part):
    """The blocks from the second split point on, the final norm and the head.

    Where the model ties the head to the embedding, as GPT-2 does, ``top.lm_head.weight`` and
    ``bottom.wte.weight`` are the same tensor: no memory is spent twice, and training both parts
    in one process updates it as training the whole does. Moved apart, to two devices or two
    machines, they become two tensors, and keeping them equal is up to the caller.
    """

    def __init__(self, model: GPT2LMHeadModel, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        absent = {"wte": nn.Identity(), "wpe": NoPositions(), "drop": nn.Identity()}
        super().__init__(model, "h", split_point_2, model.config.num_hidden_layers, **absent)
        self.lm_head = model.lm_head

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return logits ``(batch, length, vocabulary)``."""
        return self.lm_head(self.run(inputs_embeds=hidden_states, attention_mask=attention_mask))
