"""The part of a GPT-2 that predicts tokens."""

import torch
from torch import nn
from transformers import GPT2LMHeadModel

from ..blocks import run_blocks, take_blocks


class GPT2TopModel(nn.Module):
    """The blocks from the second split point on, the final norm and the head.

    Where the model ties the head to the embedding, as GPT-2 does, ``top.lm_head.weight`` and
    ``bottom.wte.weight`` are the same tensor: no memory is spent twice, and training both parts
    in one process updates it as training the whole does. Moved apart, to two devices or two
    machines, they become two tensors, and keeping them equal is up to the caller.
    """

    def __init__(self, model: GPT2LMHeadModel, split_point_2: int) -> None:
        """Take over the modules of ``model``."""
        super().__init__()
        self.config = model.config
        self.h = take_blocks(model.transformer.h, split_point_2, len(model.transformer.h))
        self.ln_f = model.transformer.ln_f
        self.lm_head = model.lm_head

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return logits ``(batch, length, vocabulary)``."""
        hidden_states = run_blocks(self.h, self.config, hidden_states, attention_mask)
        return self.lm_head(self.ln_f(hidden_states))
