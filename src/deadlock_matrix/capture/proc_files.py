"""Reading small files of ``/proc`` with as few system calls as possible."""

from __future__ import annotations

import errno
import os

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY
_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})

CHUNK = 1 << 16
LIMIT = 1 << 26  # no file of /proc that is read here comes near 64 MiB


def is_gone(error: OSError) -> bool:
    """Return whether the process or thread to which a file of ``/proc`` belonged is gone."""
    return error.errno in _GONE


def read_small(path: str, directory: int | None = None) -> bytes:
    """Read a file that the kernel returns in one read (``stat``, ``status``, ``syscall``, ...).

    Raises:
        OSError: As open(2) and read(2); see `is_gone`.
    """
    descriptor = os.open(path, _FLAGS, dir_fd=directory)
    try:
        return os.read(descriptor, CHUNK)
    finally:
        os.close(descriptor)


def read_whole(path: str, directory: int | None = None) -> bytes:
    """Read a file of any length (``maps``), up to 64 MiB.

    Raises:
        OSError: As open(2) and read(2); see `is_gone`.
    """
    descriptor = os.open(path, _FLAGS, dir_fd=directory)
    try:
        parts: list[bytes] = []
        size = 0
        while size < LIMIT:
            part = os.read(descriptor, CHUNK)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def open_directory(path: str, directory: int | None = None) -> int:
    """Open a folder of ``/proc`` and return its descriptor.

    It stays bound to that very process or thread: if that ends and its id is reused, reads through
    the descriptor fail instead of reading the newcomer.

    Raises:
        OSError: As open(2); see `is_gone`.
    """
    return os.open(path, _FLAGS | os.O_DIRECTORY, dir_fd=directory)


def numbers_in(path: str | int) -> list[int]:
    """Return the numeric names in a folder such as ``/proc`` or ``/proc/PID/task``, in its order.

    Raises:
        OSError: As opendir(3); see `is_gone`.
    """
    names = os.listdir(path)  # noqa: PTH208 - takes a descriptor, and this is a hot path
    return [int(name) for name in names if name.isdecimal()]


def reason_of(error: OSError, what: str) -> str:
    """Say in one line, for an `Unknown`, which file failed and what the kernel answered."""
    return f"{what}: {error.strerror or os.strerror(error.errno or 0)}"
