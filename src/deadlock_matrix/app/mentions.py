"""Who mentions a variable: the user's files, the packages on the stuck stacks, their libraries."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

MOST_FILES = 4000
MOST_BYTES = 64 << 20
"""Of one file, and of all files of a package together."""


def mentioned(
    names: Collection[str], texts: Iterable[str], files: Sequence[str], libraries: Sequence[str]
) -> frozenset[str]:
    """Return those of ``names`` that occur where they could be read.

    Args:
        names: Variables.
        texts: The user's own code.
        files: Python files on the stuck stacks; if they belong to an installed package, all of it
            is searched.
        libraries: Native libraries, whose bytes also contain the names that they look for.
    """
    found = {name for text in texts for name in names if name in text}
    for path in [*_sources(files), *map(Path, libraries)]:
        wanted = [name for name in names if name not in found]
        if not wanted:
            break
        found |= _in_file(path, wanted)
    return frozenset(found)


def _sources(files: Iterable[str]) -> Iterator[Path]:
    packages: dict[Path, None] = {}
    for file in files:
        path = Path(file)
        parts = path.parts
        at = next((n for n, part in enumerate(parts) if part.endswith("-packages")), None)
        if at is not None and len(parts) > at + 2:
            packages.setdefault(Path(*parts[: at + 2]))
        elif path.suffix == ".py":
            packages.setdefault(path)
    number, size = 0, 0
    for package in packages:
        for path in [package] if package.is_file() else package.rglob("*.py"):
            number += 1
            try:
                size += path.stat().st_size
            except OSError:
                continue
            if number > MOST_FILES or size > MOST_BYTES:
                return
            yield path


def _in_file(path: Path, names: Iterable[str]) -> set[str]:
    try:
        if not path.is_file() or not path.stat().st_size:
            return set()
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return {name for name in names if content.find(name.encode()) >= 0}
    except (OSError, ValueError):
        return set()
