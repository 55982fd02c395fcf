"""A large file in stretches, each of which ends where one may cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BufferedIOBase

import msgspec

LastCut = Callable[[bytearray, int, int], int]
"""Returns the last place to cut between two places in some bytes; 0 if there is none."""


def stretches(
    file: BufferedIOBase, last_cut: LastCut, block: int, most: int, overlap: int = 0
) -> Iterator[memoryview]:
    """Yield the file, cut where ``last_cut`` says, always in the same memory.

    Args:
        file: This reads from where it is to its end.
        last_cut: Finds the place.
        block: How many bytes to read at once.
        most: The most bytes in which there may be no place to cut.
        overlap: How many of the last bytes to look at again, together with the next ones.

    Yields:
        One byte that means nothing, and a stretch. Both may be written to. They are overwritten
        when the next stretch is asked for.

    Raises:
        DecodeError: There is no place to cut in ``most`` bytes.
    """
    buffer = bytearray(block + 1)
    begin = looked = end = 1
    while True:
        if begin > 1:
            buffer[1 : 1 + end - begin] = buffer[begin:end]
            begin, looked, end = 1, looked - begin + 1, end - begin + 1
        elif end == len(buffer):
            check_size(end, most)
            buffer = buffer + bytes(end)  # a new one: somebody may still view the old one
        view = memoryview(buffer)
        read = file.readinto(view[end:])
        if not read:
            break
        end += read
        cut = last_cut(buffer, max(begin + 1, looked), end)
        if cut:
            yield view[begin - 1 : cut]
            begin = cut
        looked = max(begin, end - overlap)
    check_size(end, most)
    if begin < end:
        yield view[begin - 1 : end]


def check_size(size: int, most: int) -> None:
    """Refuse a part of a file that is too large to be one."""
    if size > most:
        raise msgspec.DecodeError(f"a part of it is larger than {most >> 20} MiB")
