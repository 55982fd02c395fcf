"""Layout lazy: importing the package imports no model family."""

from .factory import ModelFactory

__all__ = ["ModelFactory"]
