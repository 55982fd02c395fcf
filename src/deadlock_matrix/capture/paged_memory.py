"""Memory read page by page, each page once: for stacks, whose reader follows a million pointers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from deadlock_matrix.capture.memory import Memory, T, Unreadable

_PAGE = 4096
_MOST_PAGES = 1 << 15  # 128 MiB
MOST_STEPS = 1 << 24
"""Reads of one word, or of sixteen bytes: some twenty seconds. A thread takes a few hundred, more
if its stack is deep. What the process itself decides, such as how many objects lead to others, ends
here.
"""


class PagedMemory(Memory):
    """One process's memory as it was when each page was first asked for.

    A stack is worth no more than that anyway: it holds only if the threads slept all the while,
    which two snapshots around it tell.
    """

    def __init__(self, pid: int, directory: int) -> None:
        super().__init__(pid, directory)
        self._pages: dict[int, bytes] = {}
        self._words: dict[int, memoryview] = {}  # the same pages
        self._texts: dict[tuple[int, int], str] = {}
        self._done: dict[Hashable, Any] = {}
        self._steps_left = MOST_STEPS

    def spend(self, steps: int) -> None:
        """Count work on what was read, by a loop whose length the process decides.

        Raises:
            Unreadable: Too much has been done already, for all readers together.
        """
        self._steps_left -= steps
        if self._steps_left < 0:
            raise Unreadable("there is too much in the process's memory to follow")

    def read(self, address: int, size: int) -> bytes:
        """See `Memory.read`."""
        number, at = divmod(address, _PAGE)
        if not 0 < size <= _PAGE - at or address < 0:
            data = super().read(address, size)
            self.spend(1 + (size >> 4))
            return data
        self.spend(1 + (size >> 4))
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) == _MOST_PAGES:
                self._pages.clear()
                self._words.clear()
            try:
                page = super().read(number * _PAGE, _PAGE)
            except Unreadable:
                return super().read(address, size)  # for its own address in the message
            self._pages[number] = page
            self._words[number] = memoryview(page).cast("Q")
        return page[at : at + size]

    def number(self, address: int, size: int = 8, signed: bool = False) -> int:
        """See `Memory.number`. Most are words, in pages that are known already."""
        words = self._words.get(address // _PAGE)
        if words is None or size != 8 or signed or address % 8:
            return super().number(address, size, signed)
        self._steps_left -= 1  # as `spend`, which would take as long as all of this
        if self._steps_left < 0:
            self.spend(0)
        found: int = words[address % _PAGE // 8]
        return found

    def once(self, what: Hashable, work: Callable[[], T]) -> T:
        """Return what ``work`` makes of this memory, worked out when it is first asked for.

        Read again it would come out the same, as every page is read once. A thousand threads ask
        for the globals of one function.
        """
        if what not in self._done:
            self._done[what] = work()
        found: T = self._done[what]
        return found

    def text(self, address: int, limit: int = 128) -> str:
        """See `Memory.text`."""
        text = self._texts.get((address, limit))
        if text is None:
            text = self._texts[address, limit] = super().text(address, limit)
        return text
