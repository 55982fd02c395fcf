"""The factory without the one decision that tells the layouts apart: how a family is imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .arguments import check_model_type, check_split_points

if TYPE_CHECKING:
    import os

    import torch
    from torch import nn

    from .models.family import Family


class SplitFactory(ABC):
    """Base of the `ModelFactory` of every layout."""

    @classmethod
    def create_split_models(
        cls,
        model_type: str,
        model_name_or_path: str | os.PathLike[str],
        split_point_1: int,
        split_point_2: int,
        device: str | torch.device = "cpu",
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Cut a causal language model into bottom, trunk and top.

        Chained on the same ``input_ids`` and ``attention_mask``, the parts compute the logits of
        the uncut model::

            hidden = bottom(input_ids, attention_mask)
            hidden = trunk(hidden, attention_mask)
            logits = top(hidden, attention_mask)

        Args:
            model_type: ``"gpt2"``, ``"gemma"`` or ``"qwen2"``.
            model_name_or_path: ``"tiny-random"`` for the built-in configuration (12 blocks,
                weights drawn from a fixed seed, no file and no network needed), a directory
                written by ``save_pretrained``, or a hub name.
            split_point_1: The number of blocks in the bottom.
            split_point_2: The index of the first block in the top.
            device: Where the parts are put.

        Returns:
            Bottom, trunk and top, in evaluation mode. Embedding and head stay one tensor where
            the model ties them; see the top's docstring.

        Raises:
            UnknownModelTypeError: ``model_type`` is not supported.
            SplitPointError: Not ``0 <= split_point_1 < split_point_2 <= number of blocks``.
            ModelNotFoundError: No model has that name, in the file system or on the hub.
            FamilyMismatchError: The model found there is of another family.
            IncompleteModelError: Weights are missing from the checkpoint.
        """
        check_model_type(model_type)
        check_split_points(split_point_1, split_point_2)
        family = cls.import_family(model_type)
        return family.split(model_name_or_path, split_point_1, split_point_2, device)

    @staticmethod
    @abstractmethod
    def import_family(model_type: str) -> Family:
        """Import what ``model_type`` (already checked) needs; return its ``FAMILY``."""
