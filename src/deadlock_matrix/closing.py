"""Things that end at the end of a ``with`` block."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, Self


class Closing(Protocol):
    """Something that `close` ends, and so does the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """End it; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
