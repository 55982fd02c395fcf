"""The factory of the lazy-as-written layout: it names one family and imports all of them.

Before the family's own package, Python imports its parent, `models`, which imports the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .splitting import SplitFactory

if TYPE_CHECKING:
    from .models.family import Family


class ModelFactory(SplitFactory):
    """Cuts causal language models into bottom, trunk and top."""

    @staticmethod
    def import_family(model_type: str) -> Family:
        """Import what is meant to be one family."""
        from . import _ensure_models_imported

        _ensure_models_imported()
        if model_type == "gpt2":
            from .models.gpt2 import FAMILY
        elif model_type == "gemma":
            from .models.gemma import FAMILY
        else:
            from .models.qwen2 import FAMILY
        return FAMILY
