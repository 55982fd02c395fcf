"""What the package can be told."""

from typing import NamedTuple


class Options(NamedTuple):
    """How large the model is."""

    layers: int = 2
