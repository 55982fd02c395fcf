"""The model families, attached by the `lazy-loader` package (SPEC 1)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["gemma", "gpt2", "qwen2"])
