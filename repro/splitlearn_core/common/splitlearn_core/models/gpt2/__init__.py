"""GPT-2 in three parts."""

# ruff: noqa: I001 -- bottom, trunk, top: the order of the import chain under test.
from .bottom import GPT2BottomModel
from .trunk import GPT2TrunkModel
from .top import GPT2TopModel
from .family import FAMILY

__all__ = ["FAMILY", "GPT2BottomModel", "GPT2TopModel", "GPT2TrunkModel"]
