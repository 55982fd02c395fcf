"""Open files of a process.

Source: ``/proc/PID/fd`` (links) and ``/proc/PID/fdinfo`` (flags). The two ends of a pipe show the
same ``pipe:[inode]``. A FIFO shows the path by which it was opened, and it may have several, so
here it is identified as ``fifo:[device:inode]``, and both ends compare equal.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Collection, Container
from contextlib import suppress
from functools import cache, partial
from typing import Literal

from deadlock_matrix.capture.proc_files import (
    is_gone,
    numbers_in,
    read_small,
    read_whole,
    reason_of,
)
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor

LIMIT = 65536

_AT_STATX_DONT_SYNC = 0x4000
_STATX_TYPE, _STATX_INO = 0x1, 0x100
_MODE_AT, _INODE_AT, _DEVICE_AT = 28, 32, 136  # struct statx, include/uapi/linux/stat.h
_PATH_ONLY = 0o10000000  # O_PATH
_ASYNC = 0o20000  # FASYNC: the same on x86-64 and aarch64

Access = Literal["r", "w", "rw"]


class _Status:
    """statx(2), which unlike stat(2) can be told not to ask a file server.

    A hung process often hangs because of a dead file server; stat(2) on one of its descriptors
    would make the observer hang too.
    """

    def __init__(self) -> None:
        self._function = getattr(ctypes.CDLL(None), "statx", None)
        if self._function is not None:
            self._function.argtypes = [
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_int,
                ctypes.c_uint,
                ctypes.c_char_p,
            ]

    def fifo(self, path: str, directory: int) -> str | None:
        """Return ``fifo:[device:inode]`` if the open file is a FIFO, else None."""
        if self._function is None:
            status = os.stat(path, dir_fd=directory)
            if not stat.S_ISFIFO(status.st_mode):
                return None
            return f"fifo:[{status.st_dev}:{status.st_ino}]"
        buffer = ctypes.create_string_buffer(256)
        wanted = _STATX_TYPE | _STATX_INO
        if self._function(directory, path.encode(), _AT_STATX_DONT_SYNC, wanted, buffer) != 0:
            return None
        mode = int.from_bytes(buffer.raw[_MODE_AT : _MODE_AT + 2], "little")
        if not stat.S_ISFIFO(mode):
            return None
        inode = int.from_bytes(buffer.raw[_INODE_AT : _INODE_AT + 8], "little")
        major = int.from_bytes(buffer.raw[_DEVICE_AT : _DEVICE_AT + 4], "little")
        minor = int.from_bytes(buffer.raw[_DEVICE_AT + 4 : _DEVICE_AT + 8], "little")
        return f"fifo:[{os.makedev(major, minor)}:{inode}]"


_status = _Status()


def target_of(number: int, directory: int) -> str:
    """Return the identity of one open file: the link's text, or ``fifo:[device:inode]``.

    Args:
        number: The descriptor.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.

    Raises:
        OSError: It is not open, or not ours to see.
    """
    link = os.readlink(f"fd/{number}", dir_fd=directory)
    if link.startswith("/"):
        return _status.fifo(f"fd/{number}", directory) or text_of(os.fsencode(link))
    return text_of(os.fsencode(link))


def access_of(number: int, directory: int) -> Access:
    """Tell whether a descriptor reads, writes or both, from the octal ``flags`` of its ``fdinfo``.

    A descriptor opened for its path alone (O_PATH) counts as both, which is the careful reading: it
    can be reopened for either.

    Raises:
        OSError: It is not open, or not ours to see.
        ValueError: There are no flags.
    """
    return _access(_number(read_small(f"fdinfo/{number}", directory), b"flags:", 8))


def _number(info: bytes, name: bytes, base: int = 10) -> int:
    begin = info.index(name) + len(name)
    return int(info[begin : info.index(b"\n", begin)], base)


def _access(flags: int) -> Access:
    if flags & _PATH_ONLY:
        return "rw"
    access = flags & os.O_ACCMODE
    return "r" if access == os.O_RDONLY else "w" if access == os.O_WRONLY else "rw"


def _mounts(directory: int) -> frozenset[bytes]:
    """Return the ids of all mounts that a process sees.

    Raises:
        OSError: It has ended.
    """
    lines = read_whole("mountinfo", directory).splitlines()
    return frozenset(line.split(b" ", 1)[0] for line in lines)


def _signals(target: str, info: bytes, mounts: Callable[[], Container[bytes]]) -> str:
    """Return for what the kernel may send a signal by itself, see fcntl(2) and mq_notify(3).

    A file with a lease has O_ASYNC too. A message queue shows a path of one part, on a file system
    that is not mounted anywhere.
    """
    if _number(info, b"flags:", 8) & _ASYNC:
        return "O_ASYNC"
    of_queues = target.startswith("/") and target.count("/") == 1 and b"mnt_id:" in info
    if of_queues and b"%d" % _number(info, b"mnt_id:") not in mounts():
        return "a message queue"
    return ""


def numbers_of(directory: int) -> list[int]:
    """Return the open descriptors of a process or thread.

    Args:
        directory: A descriptor of its folder.

    Raises:
        OSError: It ended (`is_gone`), or is not ours to see.
    """
    return numbers_in(f"/proc/self/fd/{directory}/fd")  # half the calls that a descriptor takes


def write_ends(numbers: Collection[int], directory: int) -> dict[int, frozenset[int]]:
    """Return the descriptors by which a process can write to the pipes that others of them read.

    Args:
        numbers: The read ends; what is not open, or not a pipe, is left out.
        directory: A descriptor of the process's folder.

    Raises:
        OSError: They cannot be read.
        ValueError: One has no flags, or there are too many.
    """
    read: dict[int, str] = {}
    for number in numbers:
        with suppress(OSError):
            read[number] = target_of(number, directory)
    pipes = {target for target in read.values() if target.startswith("pipe:")}
    ends: dict[str, set[int]] = {target: set() for target in pipes}
    every = numbers_of(directory) if pipes else []
    if len(every) > LIMIT:
        raise ValueError(f"{len(every)} open descriptors: too many to read")
    for each in every:
        target = target_of(each, directory)
        if target in pipes and "w" in access_of(each, directory):
            ends[target].add(each)
    return {number: frozenset(ends[target]) for number, target in read.items() if target in pipes}


def descriptors_of(pid: int, directory: int) -> Known[tuple[Descriptor, ...]] | Unknown:
    """Return all open files of a process. A file closed while the list is read is left out.

    Args:
        pid: The process, for the sources.
        directory: A descriptor of the folder of one of its threads. `own_descriptors` finds the
            threads that have a table of their own (``unshare(CLONE_FILES)``).
    """
    found: list[Descriptor] = []
    try:
        numbers = sorted(numbers_of(directory))
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{pid}/fd"))
    mounts = cache(partial(_mounts, directory))  # one process may have thousands of such files
    if len(numbers) > LIMIT:
        return unknown(f"{len(numbers)} open descriptors: too many to read")
    for number in numbers:
        try:
            target = target_of(number, directory)
            info = read_small(f"fdinfo/{number}", directory)
            found.append(
                Descriptor(
                    number=number,
                    target=target,
                    access=_access(_number(info, b"flags:", 8)),
                    signals=_signals(target, info, mounts),
                )
            )
        except OSError as error:
            if not is_gone(error):
                return unknown(reason_of(error, f"/proc/{pid}/fd/{number}"))
        except ValueError:
            return unknown(f"/proc/{pid}/fdinfo/{number} has no flags")
    return known(tuple(found), f"/proc/{pid}/fd, /proc/{pid}/fdinfo")
