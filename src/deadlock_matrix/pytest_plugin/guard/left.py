"""What the watcher left about hung tests, for pytest's own processes.

For that, they need not load what explains a hang.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".hang"
_HUNG = "hung"
"""Not empty as soon as a process has been ended. It is mapped: a look costs no system call."""

MOST_HANGS = 20
"""After more than this, no further test of a session is run: a fixture that hangs would hang every
test that uses it.
"""

Location = tuple[str, int | None, str]


class Left(NamedTuple):
    """What is left about one test.

    ``functions`` are file and name of each function on the stack of a test that hung in its setup.
    """

    location: Location
    text: str
    functions: frozenset[tuple[str, str]]


def prepare(folder: Path) -> None:
    """Say that nothing has hung."""
    (folder / _HUNG).write_bytes(b"\0")


def note_hang(folder: Path) -> None:
    """Say that something has, after what is left about it has been written."""
    with (folder / _HUNG).open("r+b") as file:
        file.write(b"\1")


def hung(folder: Path) -> mmap.mmap:
    """Return a byte that is not 0 from the first hang on."""
    with (folder / _HUNG).open("rb") as file:
        return mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ)


def left(folder: Path) -> dict[str, Left]:
    """Return what was left about each hung test, by the test's id."""
    found: dict[str, Left] = {}
    for path in folder.glob(f"*{SUFFIX}"):
        data = json.loads(path.read_text(encoding="utf-8"))
        found[data["test"]] = Left(
            location=tuple(data["location"]),
            text=data["text"],
            functions=frozenset((file, name) for file, name in data["functions"]),
        )
    return found
