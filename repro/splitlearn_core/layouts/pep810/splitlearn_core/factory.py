"""The factory of the pep810 layout: looking a family up imports it."""

from .splitting import SplitFactory
lazy from . import models
lazy from .models.family import Family


class ModelFactory(SplitFactory):
    """Cuts causal language models into bottom, trunk and top."""

    @staticmethod
    def import_family(model_type: str) -> Family:
        """Look the family up, and import it by that."""
        return getattr(models, model_type).FAMILY
