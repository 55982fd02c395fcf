"""Lines of source text that a target's frames name, where they can be read here.

They are for a reader's eyes alone. In another mount namespace or under another root, the same name
means another file, so a process there has no source lines; nor does anything that is not a regular
file. What is read is bounded, and announced (`foreign`), since the file may be on a file server
that no longer answers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from deadlock_matrix.capture.foreign import open_regular, reading
from deadlock_matrix.capture.proc_files import open_directory, read_small
from deadlock_matrix.capture.proc_text import parse_stat

MOST_FILES = 200
MOST_BYTES = 1 << 22  # of one file
LONGEST = 400
"""Characters of one line."""

CHANGED = "  [file changed since it began]"
CLOCKS_DIFFER_S = 1.0
"""A script is often saved just before it is run, and the two times come from two clocks."""


class SourceLine(NamedTuple):
    """One line: ``file`` as the frame names it, and the text without its indentation."""

    file: str
    line: int
    text: str


def source_lines(pid: int, places: Iterable[Sequence[str | int]]) -> tuple[SourceLine, ...]:
    """Return the text of lines, as far as it can be read.

    Args:
        pid: The process whose frames name them.
        places: Files and line numbers, counted from 1. A relative path is relative to the process's
            current folder.

    Returns:
        The lines that were read; all others are left out, for whatever reason. A file that is newer
            than the process may not be what it runs: such a line says so at its end.
        than the process may not be what it runs: such a line says so at its end.
    """
    try:
        if not _sees_our_files(pid):
            return ()
        began_s = _began_s(pid)
    except (OSError, ValueError):
        return ()
    wanted = sorted({(str(file), int(line)) for file, line in places})
    found: list[SourceLine] = []
    for number, (file, lines) in enumerate(groupby(wanted, lambda place: place[0])):
        if number >= MOST_FILES:
            break
        if file.startswith("<"):  # <string>, <frozen importlib._bootstrap>, <stdin>
            continue
        try:
            with reading(f"the source of process {pid}"):
                found += _lines_of(pid, file, [line for _, line in lines], began_s)
        except (OSError, ValueError):
            continue
    return tuple(found)


def _sees_our_files(pid: int) -> bool:
    """Return whether a path means the same to the process as it does here."""
    theirs, ours = Path(f"/proc/{pid}/ns/mnt").readlink(), Path("/proc/self/ns/mnt").readlink()
    if theirs != ours:
        return False
    root, own = Path(f"/proc/{pid}/root/").stat(), Path("/").stat()
    return (root.st_dev, root.st_ino) == (own.st_dev, own.st_ino)


def _began_s(pid: int) -> float:
    """Return when the process began, in seconds since the epoch."""
    directory = open_directory(f"/proc/{pid}")
    try:
        started = parse_stat(read_small("stat", directory)).started / os.sysconf("SC_CLK_TCK")
    finally:
        os.close(directory)
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def _lines_of(pid: int, file: str, lines: list[int], began_s: float) -> Iterator[SourceLine]:
    path = Path(file) if file.startswith("/") else Path(f"/proc/{pid}/cwd").readlink() / file
    descriptor = open_regular(str(path))
    try:
        status = os.fstat(descriptor)
        if status.st_size > MOST_BYTES:
            return
        raw = b""
        while len(raw) <= MOST_BYTES and (part := os.read(descriptor, MOST_BYTES)):
            raw += part
    finally:
        os.close(descriptor)
    texts = raw.decode("utf-8", "replace").split("\n")
    for line in lines:
        if 0 < line <= len(texts) and (text := texts[line - 1].strip()[:LONGEST]):
            changed = status.st_mtime > began_s + CLOCKS_DIFFER_S
            yield SourceLine(file, line, text + (CHANGED if changed else ""))
