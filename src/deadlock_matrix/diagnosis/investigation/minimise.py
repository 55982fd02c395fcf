"""Delta debugging: which of several things suffice, found by leaving things out.

Zeller and Hildebrandt's ``ddmin`` (2002), over anything: variables of a profile, imports of a
statement. It is written out here because the packaged implementations bring a command line,
logging, dependencies of their own and no types, for an algorithm this short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")


class OutOfTime(Exception):
    """Raised by a test that may run no longer: the smallest part so far is the answer."""


class Minimiser(Generic[T]):
    """Finds a part of which nothing can be left out while the test still passes.

    ``smallest`` is that part, in the original order; ``whole`` says whether it is 1-minimal, or the
    time was up before that was shown; ``probes`` counts how often the test really ran.
    """

    def __init__(self, elements: Sequence[T], test: Callable[[tuple[T, ...]], bool]) -> None:
        """Prepare. The test is known to pass for all elements, and is not run for them."""
        self._elements = tuple(elements)
        self._test = test
        everything = tuple(range(len(self._elements)))
        self._answers: dict[tuple[int, ...], bool] = {everything: True}
        self._kept = everything
        self.probes = 0
        self.whole = False

    @property
    def smallest(self) -> tuple[T, ...]:
        """The smallest part found so far that passes the test."""
        return self._pick(self._kept)

    def run(self) -> tuple[T, ...]:
        """Leave elements out until none can go, or the test is out of time."""
        try:
            self._reduce()
        except OutOfTime:
            return self.smallest
        self.whole = True
        return self.smallest

    def _reduce(self) -> None:
        parts = 2
        while len(self._kept) >= 2:
            chunks = _split(self._kept, parts)
            rests = [tuple(i for i in self._kept if i not in chunk) for chunk in chunks]
            candidates = chunks if parts == 2 else [*chunks, *rests]
            found = next((each for each in candidates if self._passes(each)), None)
            if found is not None:
                parts = 2 if found in chunks else max(parts - 1, 2)
                self._kept = found
            elif parts < len(self._kept):
                parts = min(parts * 2, len(self._kept))
            else:
                return
        if len(self._kept) == 1 and self._passes(()):
            self._kept = ()

    def _passes(self, chosen: tuple[int, ...]) -> bool:
        if chosen not in self._answers:
            self.probes += 1
            self._answers[chosen] = self._test(self._pick(chosen))
        return self._answers[chosen]

    def _pick(self, chosen: tuple[int, ...]) -> tuple[T, ...]:
        return tuple(self._elements[i] for i in chosen)


def _split(whole: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    """Split in order, in sizes as equal as possible; none is empty: there are enough elements."""
    bounds = [len(whole) * part // parts for part in range(parts + 1)]
    return [whole[start:end] for start, end in pairwise(bounds)]
