"""The heavy part, which needs torch."""

import torch

TENSOR = torch.Tensor
