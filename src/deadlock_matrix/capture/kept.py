"""What was found out once, kept for the next look; several threads may use it at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Keeps a limited number of values; drops the one that was not asked for the longest."""

    def __init__(self, most: int, weigh: Callable[[K], int] = lambda key: 1) -> None:
        """Start empty.

        Args:
            most: what all keys together may weigh.
            weigh: what one weighs; by default each the same, so that ``most`` is a number of them.
        """
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, if there is one."""
        with self._turn:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: K, value: V) -> None:
        """Keep a value, in place of any earlier one."""
        with self._turn:
            if key not in self._values:
                self._weight += self._weigh(key)
            self._values[key] = value
            self._values.move_to_end(key)
            while self._weight > self._most:
                oldest, _ = self._values.popitem(last=False)
                self._weight -= self._weigh(oldest)
