"""The processes of a tree: some roots and everything that descends from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from deadlock_matrix.capture.foreign import beat
from deadlock_matrix.capture.proc_files import numbers_in, read_small
from deadlock_matrix.capture.proc_text import KERNEL_THREAD_FLAG, parse_stat


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the machine's process table; ``started`` is in clock ticks since boot."""

    pid: int
    parent: int
    started: int
    state: str
    is_kernel_thread: bool
    threads: int = 0
    has_ended: bool = False  # with all its threads, and waits for its parent to collect it
    memory: tuple[int, ...] = ()  # see `proc_text.Stat.memory`


def process_table() -> dict[int, Process]:
    """Return every process that the observer's ``/proc`` shows, by id.

    The table is read process by process while others come and go. ``/proc/PID/task/TID/children``
    would be quicker for a small tree, but many kernels do not have it, and it may skip a child
    while another one ends. Takes about eight microseconds a process.
    """
    table: dict[int, Process] = {}
    for pid in numbers_in("/proc"):
        beat()
        process = read_entry(pid)
        if process is not None:
            table[pid] = process
    return table


def children_of(pid: int, tid: int) -> list[int] | None:
    """Return the children that a thread has started; None if this kernel does not list them.

    Quick, and good enough where missing one once does no harm.
    """
    try:
        return [int(child) for child in read_small(f"/proc/{pid}/task/{tid}/children").split()]
    except FileNotFoundError:
        return None if not Path("/proc/thread-self/children").exists() else []
    except OSError:
        return []  # it has ended


def read_entry(pid: int) -> Process | None:
    """Read one line of the table; None if there is no such process."""
    try:
        stat = parse_stat(read_small(f"/proc/{pid}/stat"))
    except (OSError, ValueError):
        return None
    return Process(
        pid=pid,
        parent=stat.parent,
        started=stat.started,
        state=stat.state,
        is_kernel_thread=bool(stat.flags & KERNEL_THREAD_FLAG),
        threads=stat.thread_count,
        has_ended=stat.state in "ZX" and stat.thread_count <= 1,
        memory=stat.memory,
    )


def members(roots: Iterable[int], table: dict[int, Process]) -> tuple[int, ...]:
    """Return the roots that exist and all their descendants, parents before their children.

    A process whose parent has ended is a child of init or of the nearest subreaper. A caller that
    is the subreaper passes itself as a further root.
    """
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, None] = {}
    waiting = [root for root in roots if root in table]
    while waiting:
        pid = waiting.pop(0)
        if pid not in found:
            found[pid] = None
            waiting += sorted(children.get(pid, ()))
    return tuple(found)


def ancestors(pid: int, table: dict[int, Process]) -> tuple[int, ...]:
    """Return parent, grandparent and so on, as far as they are visible."""
    found: list[int] = []
    process = table.get(pid)
    while process is not None and process.parent in table and process.parent not in found:
        found.append(process.parent)
        process = table.get(process.parent)
    return tuple(found)
