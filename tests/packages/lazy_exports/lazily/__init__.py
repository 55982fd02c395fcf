"""Exports its parts lazily: each is imported when it is first asked for."""

import importlib

__all__ = ["left", "right"]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module("lazily." + name)
    raise AttributeError(name)
