"""Layout pep810: explicit lazy imports (PEP 810, Python 3.15 and later)."""

lazy from . import models
lazy from .factory import ModelFactory

__all__ = ["ModelFactory", "models"]
