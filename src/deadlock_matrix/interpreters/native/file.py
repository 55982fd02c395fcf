"""A native library or module as its file describes it, whatever its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 4 << 20
_OVERLAP = 1024  # longer than any text that is looked for

Range = tuple[int, int]
"""Offset in the file and size, in bytes."""


class Malformed(Exception):
    """The file has the right first bytes but cannot be understood. The message says why."""


@dataclass(frozen=True, kw_only=True)
class NativeFile:
    """What a loader and a reader of symbols can learn from one file.

    ``path`` is the real one, ``name`` the one by which other files know it. ``machine`` must be
    equal for two files to be loaded into one process. ``rpath`` is searched for what the file needs
    and for what that needs in turn, ``runpath`` only for what the file itself needs; both are as
    written. ``exports`` maps the names in `symbols` that it defines to whether they are weak;
    ``imports`` are those that it expects from others. ``texts`` and ``names`` say where its
    constant texts and the names of its symbols are.
    """

    path: str
    name: str
    machine: str
    needs: tuple[str, ...]
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    exports: Mapping[str, bool] = field(default_factory=dict)
    imports: frozenset[str] = frozenset()
    texts: tuple[Range, ...] = ()
    names: tuple[Range, ...] = ()

    @property
    def base(self) -> str:
        """The file's own name, in lower case."""
        return Path(self.path).name.lower()

    @property
    def folder(self) -> str:
        """The folder in which it lies."""
        return str(Path(self.path).parent)


def find_texts(
    file: NativeFile, pattern: str, ranges: tuple[Range, ...]
) -> Iterator[re.Match[bytes]]:
    """Yield all matches in some parts of a file, read in pieces: it may have 400 MB.

    A match in the overlap of two pieces comes twice.

    Args:
        file: Where to look; a file that has gone matches nothing.
        pattern: A regular expression over bytes, in ASCII.
        ranges: ``file.texts`` or ``file.names``.
    """
    compiled = re.compile(pattern.encode("ascii"))
    try:
        with Path(file.path).open("rb") as stream:
            for offset, size in ranges:
                for at in range(offset, offset + size, _CHUNK - _OVERLAP):
                    stream.seek(at)
                    yield from compiled.finditer(stream.read(min(_CHUNK, offset + size - at)))
    except OSError:
        return


def find_text(file: NativeFile, pattern: str, ranges: tuple[Range, ...]) -> re.Match[bytes] | None:
    """Return the first match of `find_texts`, or ``None``."""
    return next(find_texts(file, pattern, ranges), None)
