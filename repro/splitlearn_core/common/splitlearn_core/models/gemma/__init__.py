"""Gemma in three parts."""

# ruff: noqa: I001 -- bottom, trunk, top: the order of the import chain under test.
from .bottom import GemmaBottomModel
from .trunk import GemmaTrunkModel
from .top import GemmaTopModel
from .family import FAMILY

__all__ = ["FAMILY", "GemmaBottomModel", "GemmaTopModel", "GemmaTrunkModel"]
