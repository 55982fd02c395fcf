"""The factory of the eager layout: every family has been imported before it is asked."""

from . import models
from .models.family import Family
from .splitting import SplitFactory


class ModelFactory(SplitFactory):
    """Cuts causal language models into bottom, trunk and top."""

    @staticmethod
    def import_family(model_type: str) -> Family:
        """Look the family up."""
        return getattr(models, model_type).FAMILY
