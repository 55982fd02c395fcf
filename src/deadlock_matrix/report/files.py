"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from deadlock_matrix.errors import ReportError

PRIVATE = 0o600


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Put ``data`` at ``path``: a reader sees the old file or the new one, never a part.

    ``data`` may come in parts, which are written as they come.

    The data is on disk when this returns; a missing folder is made. A new file is for its owner
    alone, an old one keeps its mode and its owner. Anything that is not an ordinary file, such as a
    link, a pipe or a device, is written into and never replaced.

    Raises:
        ReportError: The folder cannot be made or the file cannot be written.
    """
    parts = (data,) if isinstance(data, bytes) else data
    old = _status_of(path)
    if old is not None and not stat.S_ISREG(old.st_mode):
        _write_into(path, parts)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "xb", opener=_open_private) as file:
            if old is not None:
                _take_after(file.fileno(), old)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # not there, or its folder is not a folder
            draft.unlink()


def _status_of(path: Path) -> os.stat_result | None:
    """Return the status of the very thing at this path, even of a link."""
    try:
        return path.lstat()
    except OSError:
        return None


def _write_into(path: Path, parts: Iterable[bytes]) -> None:
    try:
        # A pipe that nobody reads would make us wait for a reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOCTTY", 0)
        number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), PRIVATE)
        with os.fdopen(number, "wb") as file:
            if hasattr(os, "set_blocking"):
                os.set_blocking(number, True)
            file.writelines(parts)
    except OSError as error:
        nobody = error.errno == errno.ENXIO
        words = "nobody reads from it" if nobody else error.strerror or error
        raise ReportError(f"{path} cannot be written: {words}") from error


def _take_after(number: int, old: os.stat_result) -> None:
    """Give a draft the owner and mode of the file that it is going to replace."""
    with contextlib.suppress(OSError, AttributeError):  # not ours to give away
        os.fchown(number, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError, AttributeError):  # Windows has none of this
        os.fchmod(number, stat.S_IMODE(old.st_mode))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), PRIVATE)


def check_writable(path: Path) -> None:
    """Find out whether ``path`` could be written now, before spending time on its contents.

    Leaves nothing behind, not even missing folders.

    Raises:
        ReportError: The folder cannot be made or the file cannot be written.
    """
    old = _status_of(path)
    if old is not None and not stat.S_ISREG(old.st_mode):
        if path.is_dir() or not os.access(path, os.W_OK):
            raise ReportError(f"{path} cannot be written")
        return
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error


def read_bounded(path: Path, limit: int) -> bytes:
    """Return all bytes of ``path``, at most ``limit``.

    Raises:
        ReportError: It is missing, not readable, not a file, or larger than ``limit``.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path, limit)
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {_words(error)}") from error


@contextlib.contextmanager
def open_bounded(path: Path, limit: int) -> Iterator[io.BufferedIOBase]:
    """Open ``path``, at most ``limit`` bytes, to be read from its start as often as needed.

    Raises:
        ReportError: As for `read_bounded`.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
                yield file
            else:  # a pipe can be read only once
                yield io.BytesIO(_read(file, path, limit))
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {_words(error)}") from error


def read_beside(folder: Path, name: str, limit: int) -> bytes:
    """Return all bytes of a file that another file names; ``name`` is ``folder/file``.

    The name may come from somebody else: anything that is not an ordinary file, right there, is
    refused.

    Raises:
        ReportError: As for `read_bounded`; or it is a link, a pipe or a device. The message names
            the file only by ``name``.
    """
    inner, _, last = name.partition("/")
    try:
        if (folder / inner).is_symlink():
            raise ReportError(f"{name} lies behind a symbolic link, which is not followed")
        path = folder / inner / last
        if path.is_symlink():
            raise ReportError(f"{name} is a symbolic link, which is not followed")
        # It may become a link in this very moment; and opening a pipe must not wait for a writer.
        with open(path, "rb", opener=_open_ordinary) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ReportError(f"{name} is not an ordinary file")
            return _read(file, Path(name), limit)
    except FileNotFoundError:
        raise ReportError(f"{name} is not there") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{name} cannot be read: {_words(error)}") from error


def _read(file: io.BufferedIOBase, path: Path, limit: int) -> bytes:
    # The size, if there is one, keeps a reader from asking for memory that it will not need.
    status = os.fstat(file.fileno())
    expected = status.st_size if stat.S_ISREG(status.st_mode) else 0
    data = file.read(expected + 1) if expected <= limit else b""
    if len(data) > expected:  # it grows, or has no size, like a pipe
        data += file.read(limit + 1 - len(data))
    if expected > limit or len(data) > limit:
        allowed = f"{limit >> 20} MiB" if limit >> 20 else f"{limit} bytes"
        raise ReportError(f"{path} is larger than {allowed}, the most that is read")
    return data


def _open_ordinary(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where a folder can be opened at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
