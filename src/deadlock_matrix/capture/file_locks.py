"""Who has the file locks that threads wait for (``flock``, ``fcntl``), according to
``/proc/locks``.

The kernel lists each lock with the process that took it, and below it, marked with ``->``, those
who wait for it. A ``flock`` lock belongs to an open file, which children inherit: the process that
took it may have ended, or others may have it too. An ``F_OFD_SETLK`` lock names nobody (-1).
Processes outside the observer's PID namespace are not listed. Inside such a namespace, a lock whose
taker has ended is not listed either, nor are those who wait for it (``locks_translate_pid`` in
``fs/locks.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from deadlock_matrix.capture.proc_files import read_whole, reason_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor, FileLock
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import ThreadFacts

_LINE = re.compile(r"^(\d+):\s+(->\s+)?(\w+)\s+\w+\s+\w+\s+(-?\d+)\s+([0-9a-f]+:[0-9a-f]+:\d+)\s")


def file_locks_of(
    pid: int, descriptors: Known[tuple[Descriptor, ...]] | Unknown, threads: Iterable[ThreadFacts]
) -> Known[tuple[FileLock, ...]] | Unknown:
    """Return the locks that the threads of a process wait for.

    Args:
        pid: The process.
        descriptors: What it has open.
        threads: Its threads.
    """
    numbers = {
        thread.call.arguments[0]
        for thread in threads
        if thread.call is not None and blocking(thread.call.name).waits_for is WaitsFor.FILE_LOCK
    }
    if not numbers:
        return known((), "no thread is in flock or fcntl")
    if isinstance(descriptors, Unknown):
        return descriptors
    try:
        lines = read_whole("/proc/locks").decode("ascii", "replace").splitlines()
    except OSError as error:
        return unknown(reason_of(error, "/proc/locks"))
    holders = holders_in(lines, pid)
    paths = {each.number: each.target for each in descriptors.value}
    waited = [paths[number] for number in numbers if number in paths]
    # The kernel identifies files by number; only with a single waiter is it clear which is whose.
    if len(holders) != 1 or len(waited) != 1:
        return unknown("which lock is whose: several threads wait for file locks, or none is shown")
    kind, pids = holders[0]
    ended = tuple(each for each in pids if each > 0 and not Path(f"/proc/{each}").exists())
    lock = FileLock(path=waited[0], kind=kind, holders=pids, ended=ended)
    return known((lock,), "/proc/locks")


def holders_in(lines: Iterable[str], pid: int) -> list[tuple[str, tuple[int, ...]]]:
    """Return kind and holders of each lock for which a process waits, from ``/proc/locks``."""
    held: dict[tuple[str, str], list[int]] = {}
    waited: list[tuple[str, str]] = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        _, waits, kind, whose, file = match.groups()
        if not waits:
            held.setdefault((kind, file), []).append(int(whose))
        elif int(whose) == pid:
            waited.append((kind, file))
    return [
        (kind.lower(), tuple(dict.fromkeys(held.get((kind, file), ())))) for kind, file in waited
    ]
