"""Layout lazy-as-written: the package's `__init__` and factory changed, `models` left as it was."""

from .factory import ModelFactory

__all__ = ["ModelFactory"]

_models_imported = False


def _ensure_models_imported() -> None:
    """Import the model families, once."""
    global _models_imported
    if not _models_imported:
        from . import models

        _models_imported = True
