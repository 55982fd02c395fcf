"""The factory of the lazy layout: a family is imported when a model of it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .splitting import SplitFactory

if TYPE_CHECKING:
    from .models.family import Family


class ModelFactory(SplitFactory):
    """Cuts causal language models into bottom, trunk and top."""

    @staticmethod
    def import_family(model_type: str) -> Family:
        """Import this one family."""
        return importlib.import_module(f".models.{model_type}", __package__).FAMILY
