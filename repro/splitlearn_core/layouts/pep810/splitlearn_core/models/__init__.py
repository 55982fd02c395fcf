"""The model families, imported lazily (PEP 810)."""

lazy from . import gemma, gpt2, qwen2

__all__ = ["gemma", "gpt2", "qwen2"]
