"""Ends of pipes that are open, but in nobody's table of descriptors.

A file stays open while a system call on it lasts, even if its descriptor is closed meanwhile; while
a message that carries it waits to be sent; and while an io_uring has it registered. The kernel
itself may have it, too: an automount's requests are written to a pipe (``pipe_ino`` among the
options of the mount), and the 9p file system can talk through two.

Source: the kernel's ``fs/splice.c``, ``net/core/scm.c``, ``io_uring/fdinfo.c``,
``fs/autofs/inode.c``.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Container, Iterable

from deadlock_matrix.capture.machine import table_architecture
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, read_small, read_whole
from deadlock_matrix.capture.proc_text import parse_syscall
from deadlock_matrix.capture.syscalls import name_of
from deadlock_matrix.model.system_calls import BlockingCall, WaitsFor, blocking
from deadlock_matrix.model.thread_facts import SystemCall

IO_URING = "anon_inode:[io_uring]"
EPOLL = "anon_inode:[eventpoll]"
_MACHINE = os.uname().machine
_CONTROL_AT = 32  # of msg_control and msg_controllen in struct msghdr
_PIPE_OF_MOUNT = re.compile(rb"pipe_ino=(\d+)")
_WATCHED = re.compile(rb"^tfd:.*\bino:\s*([0-9a-f]+)", re.MULTILINE)
_LISTED = re.compile(rb"^UserFiles:\s*(\d+)$", re.MULTILINE)


def held_by_calls(pid: int, directory: int, threads: Iterable[int] | None) -> str:
    """Say how a call of some thread may hold an end of a pipe; empty if none may.

    Args:
        pid: The process.
        directory: A descriptor of ``/proc/PID``.
        threads: Its threads; None if they are not known.

    Raises:
        OSError: It has ended, or we may not look.
    """
    for tid in numbers_of_threads(directory) if threads is None else threads:
        try:
            raw = read_small(f"task/{tid}/syscall", directory)
            if raw[:1] in (b"r", b"-") or not _may_hold_files(raw):
                continue
            call = parse_syscall(raw, table_architecture(pid))
            if not isinstance(call, SystemCall):
                continue
            row = blocking(call.name)
            if _sends(row) and _may_carry_files(pid, directory, call):
                return f"thread {tid} of process {pid} is sending a message that may carry files"
            for at in row.descriptors_at if row.waits_for is WaitsFor.TRANSFER else ():
                if not _is_open(call.arguments[at] & 0xFFFF_FFFF, tid, directory):
                    return f"thread {tid} of process {pid} is in {call.name} on a closed descriptor"
        except ValueError:
            continue
        except OSError as error:
            if not is_gone(error):
                raise
    return ""


def _may_hold_files(line: bytes) -> bool:
    """Return whether a call may be one of those, by the observer's own table of calls.

    Any other table has fewer names. Which one is the process's takes a look at its executable.
    """
    row = blocking(name_of(int(line[: line.index(b" ")]), _MACHINE))
    return _sends(row) or row.waits_for is WaitsFor.TRANSFER


def _sends(row: BlockingCall) -> bool:
    return row.of_sockets and row.waits_for is WaitsFor.WRITE


def numbers_of_threads(directory: int) -> list[int]:
    """Return the ids of a process's threads.

    Raises:
        OSError: It has ended.
    """
    return numbers_in(f"/proc/self/fd/{directory}/task")


def _is_open(number: int, tid: int, directory: int) -> bool:
    try:
        os.readlink(f"task/{tid}/fd/{number}", dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def _may_carry_files(pid: int, directory: int, call: SystemCall) -> bool:
    if call.name == "sendto":
        return False
    if call.name != "sendmsg":
        return True
    try:
        with Memory(pid, directory) as memory:
            control, length = struct.unpack("<QQ", memory.read(call.arguments[1] + _CONTROL_AT, 16))
    except Unreadable:
        return True
    return bool(control and length)


def held_by_ring(number: int, directory: int, wanted: Container[str]) -> str:
    """Say how an io_uring may have one of the pipes registered; empty if it may not.

    Args:
        number: The descriptor of the ring.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.
        wanted: Pipes, as ``pipe:[123]``.

    Raises:
        OSError: It is gone.
    """
    text = read_whole(f"fdinfo/{number}", directory)
    count = _LISTED.search(text)
    if count is None:
        return "an io_uring does not tell which files it has registered"
    names = re.findall(rb"^\s*\d+: (\S+)$", text, re.MULTILINE)
    if int(count[1]) and not names:
        return "an io_uring has files registered and does not name them"
    for name in names:
        if name.decode("ascii", "replace") in wanted:
            return f"an io_uring has {name.decode()} registered"
    return ""


def watched_by_epoll(number: int, directory: int, wanted: Iterable[str]) -> str:
    """Say whether an epoll watches a socket, so that a thread may wait in that very epoll.

    Args:
        number: The descriptor of the epoll.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.
        wanted: Sockets, as ``socket:[123]``.

    Raises:
        OSError: It is gone.
    """
    text = read_whole(f"fdinfo/{number}", directory)
    inodes = {int(each, 16) for each in _WATCHED.findall(text)}
    if len(inodes) == 0 and b"tfd:" in text:
        return "an epoll does not tell what it watches"
    for target in wanted:
        if int(target[len("socket:[") : -1]) in inodes:
            return f"an epoll watches {target} too"
    return ""


def held_by_kernel(directories: Iterable[int], wanted: Container[str]) -> str:
    """Say how a mount that the processes see writes to one of the pipes; empty if none does.

    Args:
        directories: Descriptors of ``/proc/PID``; each mount namespace is read once.
        wanted: Pipes, as ``pipe:[123]``.

    Raises:
        OSError: A process has ended.
    """
    seen: set[str] = set()
    for directory in directories:
        namespace = os.readlink("ns/mnt", dir_fd=directory)
        if namespace in seen:
            continue
        seen.add(namespace)
        for line in read_whole("mountinfo", directory).splitlines():
            _, _, kind = line.partition(b" - ")
            if kind.startswith(b"autofs "):
                inode = _PIPE_OF_MOUNT.search(kind)
                if inode is None or f"pipe:[{int(inode[1])}]" in wanted:
                    return "an automount of this namespace writes its requests to a pipe"
            elif kind.startswith(b"9p ") and b"trans=fd" in kind:
                return "a 9p file system of this namespace talks through descriptors"
    return ""
