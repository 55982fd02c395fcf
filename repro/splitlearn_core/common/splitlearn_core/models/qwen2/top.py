"""The part of a Qwen2 that predicts tokens."""

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

from ..part import Part


class Qwen2TopModel(Part):
    """The blocks from the second split point on, the final norm and the head.

    Large Qwen2 models have a head of their own. The small ones tie it to the embedding: then
    ``top.lm_head.weight`` and ``bottom.embed_tokens.weight`` are the same tensor, as in the uncut
    model. Moved apart, to two devices or two machines, they become two, and keeping them equal is
    up to the caller.
    """

    def __init__(self, model: Qwen2ForCausalLM, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        stop = model.config.num_hidden_layers
        super().__init__(model, "layers", split_point_2, stop, embed_tokens=nn.Identity())
        self.lm_head = model.lm_head

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return logits ``(batch, length, vocabulary)``."""
        return self.lm_head(self.run(inputs_embeds=hidden_states, attention_mask=attention_mask))
