"""What stands in for GPT-2's position embedding above the bottom, which has added it."""

import torch
from torch import nn


class NoPositions(nn.Module):
    """Adds nothing to the states that a GPT-2 is given."""

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        """Return one whole 0: it fits every shape and leaves every precision as it is."""
        return position_ids.new_zeros(())
