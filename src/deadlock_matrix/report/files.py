"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from deadlock_matrix.errors import ReportError


def write_atomically(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: a reader sees the old file or the new one, never a part.

    The data is on disk when this returns; the folder is made if it is missing.

    Raises:
        ReportError: The folder cannot be made or the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # not there, or its folder is none
            draft.unlink()


def read_bounded(path: Path, limit: int) -> bytes:
    """All bytes of ``path``, at most ``limit``.

    Raises:
        ReportError: Not there, not readable, not a file, or larger than ``limit``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise ReportError(f"{path} is larger than {limit >> 20} MiB, which no report needs to be")
    return data


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where a folder can be opened at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
