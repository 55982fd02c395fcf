"""The model families, each imported when first looked up (PEP 562)."""

import importlib

__all__ = ["gemma", "gpt2", "qwen2"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
