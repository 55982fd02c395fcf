"""The factory of the getattr layout: looking a family up imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import models
from .splitting import SplitFactory

if TYPE_CHECKING:
    from .models.family import Family


class ModelFactory(SplitFactory):
    """Cuts causal language models into bottom, trunk and top."""

    @staticmethod
    def import_family(model_type: str) -> Family:
        """Look the family up, and import it by that."""
        return getattr(models, model_type).FAMILY
