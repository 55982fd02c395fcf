"""Which processes run on the same memory: parent and child of a vfork, ``clone(CLONE_VM)``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from deadlock_matrix.capture import kcmp
from deadlock_matrix.capture.census import Census, visit_processes
from deadlock_matrix.capture.foreign import beat
from deadlock_matrix.capture.newcomers import Restless, visit_all
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, read_small
from deadlock_matrix.capture.proc_text import parse_stat
from deadlock_matrix.capture.tree import Process, read_entry
from deadlock_matrix.model.fact import Known, Unknown, known, unknown


def sharers(pids: Iterable[int], census: Census) -> dict[int, Known[tuple[int, ...]] | Unknown]:
    """Return, for each process, the others that run on its memory.

    A process shares memory from birth, so processes born during the comparison are compared, too. A
    process that we may not look into is taken not to share: it could do so only if it had changed
    its user after a ``clone(CLONE_VM)``. A pair costs about two microseconds.

    Args:
        pids: The processes.
        census: All processes.
    """
    answers: dict[int, Known[tuple[int, ...]] | Unknown] = {}
    ours: dict[int, int] = {}  # for each process, a thread that has memory
    for pid in pids:
        try:
            thread = _thread_with_memory(pid)
            if thread is None:
                answers[pid] = known((), "its state: it has ended")
            else:
                # Tells "no such call" and "not allowed" from the answers about others.
                kcmp.same(thread, thread, kcmp.MEMORY)
                ours[pid] = thread
        except OSError as error:
            answers[pid] = unknown(f"kcmp: {os.strerror(error.errno or 0)}")
    if not ours:
        return answers
    found: dict[int, set[int]] = {pid: set() for pid in ours}
    similar: dict[tuple[int, ...], dict[int, int]] = {}
    for pid, thread in ours.items():
        entry = census.table.get(pid)
        similar.setdefault(entry.memory if entry is not None else (), {})[pid] = thread
    try:
        candidates = partial(_candidates, ours=ours, similar=similar)

        def compare(process: Process) -> bool:
            now = read_entry(process.pid)  # the number may be another's
            return now is not None and _compare(now.pid, candidates(now), found)

        visit_processes(census, lambda other: not candidates(other), compare)
    except (Restless, OSError) as error:
        reason = unknown(f"who shares the memory: {error}")
        return answers | dict.fromkeys(ours, reason)
    return answers | {pid: known(tuple(sorted(found[pid])), "kcmp") for pid in ours}


def _has_memory(path: str) -> bool:
    return parse_stat(read_small(path)).virtual_size > 0


def _thread_with_memory(pid: int) -> int | None:
    """Return the leader or, if that has ended, a thread that runs on."""
    if _has_memory(f"/proc/{pid}/stat"):
        return pid
    for tid in numbers_in(f"/proc/{pid}/task"):
        try:
            if _has_memory(f"/proc/{pid}/task/{tid}/stat"):
                return tid
        except OSError as error:
            if not is_gone(error):
                raise
    return None


def _candidates(
    process: Process, ours: dict[int, int], similar: dict[tuple[int, ...], dict[int, int]]
) -> dict[int, int]:
    """Return those of ours that may share with a process, by what its entry says."""
    if process.is_kernel_thread or process.has_ended:
        return {}
    if process.memory:
        return {**similar.get(process.memory, {}), **similar.get((), {})}
    return ours


def _compare(other: int, ours: dict[int, int], found: dict[int, set[int]]) -> bool:
    """Compare a process with those of ours that may share with it; say whether it was there.

    Whether a thread has memory is checked after the comparison: without, it differs from all
    others.
    """
    beat()
    settled = False

    def visit(tid: int) -> bool:
        nonlocal settled
        if settled:
            return True
        try:
            for pid, thread in ours.items():
                if other != pid and kcmp.same(thread, tid, kcmp.MEMORY):
                    found[pid].add(other)
            settled = _has_memory(f"/proc/{other}/task/{tid}/stat")
        except PermissionError:
            settled = True
        except OSError as error:
            if not is_gone(error):
                raise
            return False
        return True

    if visit(other) and settled:
        return True
    try:
        visit_all(f"threads of process {other}", lambda: numbers_in(f"/proc/{other}/task"), visit)
    except OSError as error:
        if not is_gone(error):
            raise
        return False
    return True
