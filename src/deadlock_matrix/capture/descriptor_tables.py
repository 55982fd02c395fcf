"""Descriptor tables other than the process's: threads after ``unshare(CLONE_FILES)``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from deadlock_matrix.capture import kcmp
from deadlock_matrix.capture.newcomers import visit_all
from deadlock_matrix.capture.proc_files import is_gone, numbers_in
from deadlock_matrix.capture.tree import Process
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.thread_facts import ThreadFacts

SINGLE_LINKS = 3


def own_descriptors(
    reference: int, threads: Iterable[ThreadFacts]
) -> Known[tuple[int, ...]] | Unknown:
    """Return the threads whose descriptor table is not that of ``reference``.

    Args:
        reference: The thread whose descriptors were taken for the process's.
        threads: All threads of the process. One that has ended has no descriptors.
    """
    others = [t.tid for t in threads if t.tid != reference and t.state not in "ZX"]
    if not others:
        return known((), "it has no other thread")
    own: list[int] = []
    try:
        kcmp.same(reference, reference, kcmp.DESCRIPTORS)
        for tid in others:
            try:
                if not kcmp.same(reference, tid, kcmp.DESCRIPTORS):
                    own.append(tid)
            except ProcessLookupError:
                continue
    except OSError as error:
        return unknown(f"kcmp: {os.strerror(error.errno or 0)}")
    return known(tuple(own), "kcmp")


def visit_tables(process: Process, visit: Callable[[int], None]) -> bool:
    """Call ``visit`` at least once for each descriptor table of a process, with one of its threads.

    The leader alone would not do: a leader that has ended shows no descriptors, whatever the other
    threads have. Each thread is compared with the one visited last; if that one has ended, it
    differs from all that have not. A process that had one thread and still has one after the visit
    is looked at once: what another thread had meanwhile went with it, or was this one's too.

    Returns:
        Whether it has one thread.

    Raises:
        Restless: New threads kept coming.
        OSError: The process ended (`is_gone`), or is not ours to read.
    """
    pid = process.pid
    if process.threads == 1:
        visit(pid)
        if _is_single(pid):
            return True
    last = 0

    def look(tid: int) -> bool:
        nonlocal last
        try:
            if not last or not _same(last, tid):
                visit(tid)
                last = tid
        except OSError as error:
            if not is_gone(error):
                raise
            return False
        return True

    visit_all(f"threads of process {pid}", lambda: numbers_in(f"/proc/{pid}/task"), look)
    return False


def _is_single(pid: int) -> bool:
    """Return whether the process has one thread: its folder has a link for each, and two more.

    Raises:
        OSError: It ended (`is_gone`), or is not ours to read.
    """
    return os.stat(f"/proc/{pid}/task").st_nlink == SINGLE_LINKS  # noqa: PTH116 - a hot path


def _same(first: int, second: int) -> bool:
    """Compare two threads; a pair that may not be compared counts as different, and is read once
    more.
    """
    try:
        return kcmp.same(first, second, kcmp.DESCRIPTORS)
    except OSError:
        return False
