"""Layout eager: importing the package imports every model family, torch and transformers."""

from . import models
from .factory import ModelFactory

__all__ = ["ModelFactory", "models"]
