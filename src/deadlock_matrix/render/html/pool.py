"""Values that many cells share, each kept once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from deadlock_matrix.diagnosis.text import printable
from deadlock_matrix.render.html.document import Common, Frame, Step

T = TypeVar("T", bound=Hashable)


class Pool(Generic[T]):
    """Gives each different value a number, starting at 0."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}

    def add(self, value: T) -> int:
        """Return the number of ``value``."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> tuple[T, ...]:
        """Return all values, by their numbers."""
        return tuple(self._numbers)


class Pools:
    """The pools of a page."""

    def __init__(self) -> None:
        self._texts: Pool[str] = Pool()
        self.lists: Pool[tuple[int, ...]] = Pool()
        self.steps: Pool[Step] = Pool()
        self.frames: Pool[Frame] = Pool()
        self.facts: Pool[tuple[str, str]] = Pool()
        self.common: Pool[Common] = Pool()

    def text(self, text: str) -> int:
        """Return the number of a text, from which everything unprintable is removed."""
        return self._texts.add(printable(text))

    def list(self, texts: Iterable[str]) -> int:
        """Return the number of a list of texts."""
        return self.lists.add(tuple(self.text(text) for text in texts))

    @property
    def texts(self) -> tuple[str, ...]:
        """Return all texts, by their numbers."""
        return self._texts.values
