"""A look that costs next to nothing: has anything moved since the last one?"""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from deadlock_matrix.capture.proc_files import is_gone, open_directory
from deadlock_matrix.capture.proc_text import parse_stat, parse_switches, text_of
from deadlock_matrix.closing import Closing
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Glance(NamedTuple):
    """The main thread of a process at one instant. Compare two with ``==``.

    ``syscall`` is the text of ``/proc/PID/task/PID/syscall`` (``running`` on a processor), or empty
    where we may not read it. ``children`` are those of the main thread, unknown on kernels without
    CONFIG_PROC_CHILDREN.
    """

    state: str
    voluntary: int
    involuntary: int
    cpu_ticks: int
    syscall: str
    threads: int
    children: Known[tuple[int, ...]] | Unknown


class Looker(Protocol):
    """Looks at one process again and again."""

    def look(self) -> Glance:
        """Look once.

        Raises:
            CaptureError: The process has ended.
        """
        ...

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        ...


_NO_CHILDREN = unknown("this kernel has no /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)")


class Glancer(Closing):
    """Looks at one process again and again, through files that it keeps open.

    The files stay bound to that process: when it ends and its id is reused, `look` says that it
    ended. This is not the whole truth: other threads may work while the main one sleeps.
    """

    def __init__(self, pid: int) -> None:
        """Open the files.

        Raises:
            CaptureError: There is no such process.
        """
        self._files: list[int] = []
        self._pid = pid
        try:
            directory = open_directory(f"/proc/{pid}/task/{pid}")
            self._files.append(directory)
            self._stat = self._open("stat", directory)
            self._status = self._open("status", directory)
            self._syscall = self._open_optional("syscall", directory)
            self._children = self._open_optional("children", directory)
        except OSError as error:
            self.close()
            raise CaptureError(f"process {pid}: {os.strerror(error.errno or 0)}") from None

    def close(self) -> None:
        """Close the files; may be called twice."""
        while self._files:
            os.close(self._files.pop())

    def _open(self, name: str, directory: int) -> int:
        self._files.append(os.open(name, _OPEN, dir_fd=directory))
        return self._files[-1]

    def _open_optional(self, name: str, directory: int) -> int | None:
        try:
            return self._open(name, directory)
        except OSError:
            return None

    def look(self) -> Glance:
        """Look once, in a dozen microseconds.

        Raises:
            CaptureError: The process has ended and has been waited for.
        """
        try:
            syscall = self._read_syscall()
            stat = parse_stat(os.pread(self._stat, 4096, 0))
            switches = parse_switches(os.pread(self._status, 16384, 0))
            children = self._read_children()
        except (OSError, ValueError):
            raise CaptureError(f"process {self._pid} has ended") from None
        return Glance(
            state=stat.state,
            voluntary=switches.voluntary,
            involuntary=switches.involuntary,
            cpu_ticks=stat.cpu_ticks,
            syscall=syscall,
            threads=stat.thread_count,
            children=children,
        )

    def _read_syscall(self) -> str:
        if self._syscall is None:
            return ""
        try:
            return text_of(os.pread(self._syscall, 512, 0)).strip()
        except OSError as error:
            if is_gone(error):
                raise
            return ""  # a process that has changed its user: EPERM

    def _read_children(self) -> Known[tuple[int, ...]] | Unknown:
        if self._children is None:
            return _NO_CHILDREN
        raw = os.pread(self._children, 65536, 0)
        return known(tuple(int(pid) for pid in raw.split()), "/proc/PID/task/PID/children")


def glance(pid: int) -> Glance:
    """Look at a process once, without keeping anything open.

    Raises:
        CaptureError: There is no such process.
    """
    with Glancer(pid) as glancer:
        return glancer.look()
