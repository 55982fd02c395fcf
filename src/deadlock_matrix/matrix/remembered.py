"""What interpreters were found to be, kept for as long as their files stay as they are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from deadlock_matrix.matrix.fingerprint import metadata_folders
from deadlock_matrix.matrix.question import Answer
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.report import Fingerprint

_FILE = "interpreters.json"
_FORMAT = 1

Stamp = tuple[str, int, int, int, int]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """One interpreter: what it was found to be, and by which files that stays true.

    ``deadline_s`` is how long it was waited for, if it did not answer.
    """

    executable: Stamp
    folders: tuple[Stamp, ...]
    fingerprint: Known[Fingerprint] | Unknown
    deadline_s: float = 0.0


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    interpreters: dict[str, Memory]


def recall(executable: str, cache: Path, deadline_s: float) -> Known[Fingerprint] | Unknown | None:
    """What is remembered of ``executable``; ``None``: nothing, or its files have changed since.

    One that did not answer is asked again only when more time is given to it.
    """
    memory = _read(cache).get(executable)
    if memory is None or memory.executable != identity(executable):
        return None
    if any(_stamp(stamp[0]) != stamp for stamp in memory.folders):
        return None
    if isinstance(memory.fingerprint, Unknown) and memory.deadline_s < deadline_s:
        return None
    return memory.fingerprint


def remember(
    executable: str,
    cache: Path,
    fingerprint: Known[Fingerprint] | Unknown,
    answer: Answer | None,
    deadline_s: float = 0.0,
) -> None:
    """Keep ``fingerprint`` for `recall`, unless it hangs on more than files.

    That is so for a wrapper, which may choose another interpreter next time.
    """
    if answer is not None and os.path.realpath(answer.executable) != os.path.realpath(executable):
        return
    memory = Memory(
        executable=identity(executable),
        folders=tuple(_stamp(path) for path in _files_of(executable, answer)),
        fingerprint=fingerprint,
        deadline_s=deadline_s,
    )
    # Of two that write at once one is forgotten, and asked again next time.
    document = _Document(format=_FORMAT, interpreters={**_read(cache), executable: memory})
    cache.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{_FILE}-", dir=cache)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(document))
        Path(draft).replace(cache / _FILE)
    except BaseException:
        Path(draft).unlink()
        raise


def identity(executable: str) -> Stamp:
    """The real file behind ``executable``, and what changes when it does."""
    return _stamp(os.path.realpath(executable))


def _files_of(executable: str, answer: Answer | None) -> tuple[str, ...]:
    parents = Path(executable).parents
    configs = [str(folder / "pyvenv.cfg") for folder in parents[:2]]
    return (*configs, *(metadata_folders(answer) if answer else ()))


def _stamp(path: str) -> Stamp:
    try:
        found = Path(path).stat()
    except OSError:
        return (path, 0, 0, 0, 0)
    return (path, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _read(cache: Path) -> dict[str, Memory]:
    try:
        document = msgspec.json.decode((cache / _FILE).read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError):
        return {}  # a cache may be missing, of another version, or damaged
    return document.interpreters if document.format == _FORMAT else {}
