"""Layout getattr: public names are imported when first looked up (PEP 562)."""

import importlib

__all__ = ["ModelFactory", "models"]


def __getattr__(name: str) -> object:
    if name == "models":
        return importlib.import_module(".models", __name__)
    if name == "ModelFactory":
        return importlib.import_module(".factory", __name__).ModelFactory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
