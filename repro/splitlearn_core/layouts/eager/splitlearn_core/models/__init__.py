"""All model families, imported at once."""

# ruff: noqa: I001 -- the order of the import chain under test.
from . import gpt2
from . import gemma
from . import qwen2

__all__ = ["gemma", "gpt2", "qwen2"]
