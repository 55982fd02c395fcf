"""Memory read page by page, each page once: for stacks, whose reader follows a million pointers."""

from __future__ import annotations

from deadlock_matrix.capture.memory import Memory, Unreadable

_PAGE = 4096
_MOST_PAGES = 1 << 15  # 128 MiB


class PagedMemory(Memory):
    """One process's memory as it was when each page was first asked for.

    A stack is worth no more than that anyway: it holds only if the threads slept all the while,
    which two snapshots around it tell.
    """

    def __init__(self, pid: int, directory: int) -> None:
        super().__init__(pid, directory)
        self._pages: dict[int, bytes] = {}
        self._texts: dict[tuple[int, int], str] = {}

    def read(self, address: int, size: int) -> bytes:
        """See `Memory.read`."""
        number, at = divmod(address, _PAGE)
        if not 0 < size <= _PAGE - at or address < 0:
            return super().read(address, size)
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) == _MOST_PAGES:
                self._pages.clear()
            try:
                page = super().read(number * _PAGE, _PAGE)
            except Unreadable:
                return super().read(address, size)  # for its own address in the message
            self._pages[number] = page
        return page[at : at + size]

    def text(self, address: int, limit: int = 128) -> str:
        """See `Memory.text`."""
        text = self._texts.get((address, limit))
        if text is None:
            text = self._texts[address, limit] = super().text(address, limit)
        return text
