"""Qwen2 in three parts."""

# ruff: noqa: I001 -- bottom, trunk, top: the order of the import chain under test.
from .bottom import Qwen2BottomModel
from .trunk import Qwen2TrunkModel
from .top import Qwen2TopModel
from .family import FAMILY

__all__ = ["FAMILY", "Qwen2BottomModel", "Qwen2TopModel", "Qwen2TrunkModel"]
