"""Who outside a process tree has an end of a pipe that a thread of the tree waits on."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

from deadlock_matrix.capture.descriptors import access_of, target_of
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory
from deadlock_matrix.capture.tree import Process, ancestors
from deadlock_matrix.model.evidence import PipeHolder, ProcessFacts, SystemCall
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

# Which arguments of a call are descriptors.
_TRANSFERS = {
    **dict.fromkeys(["read", "readv", "preadv2", "write", "writev", "pwritev2", "vmsplice"], (0,)),
    "splice": (0, 2),
    "tee": (0, 1),
    "sendfile": (0, 1),
}
_NAMED_OR_NOT = ("pipe:[", "fifo:[")


def pipes_waited_on(processes: Iterable[ProcessFacts]) -> frozenset[str]:
    """The pipes and FIFOs on which some thread is blocked in a transfer or a poll."""
    pipes: set[str] = set()
    for process in processes:
        if isinstance(process.descriptors, Unknown):
            continue
        targets = {d.number: d.target for d in process.descriptors.value}
        for thread in process.threads:
            numbers: list[int] = []
            if isinstance(thread.activity, Known):
                call = thread.activity.value
                if isinstance(call, SystemCall) and call.name in _TRANSFERS:
                    numbers += [call.arguments[at] for at in _TRANSFERS[call.name]]
            if isinstance(thread.polled, Known):
                numbers += [polled.descriptor for polled in thread.polled.value]
            for number in numbers:
                target = targets.get(number & 0xFFFF_FFFF, "")
                if target.startswith(_NAMED_OR_NOT):
                    pipes.add(target)
    return frozenset(pipes)


def outside_holders(
    processes: tuple[ProcessFacts, ...], table: dict[int, Process]
) -> Known[tuple[PipeHolder, ...]] | Unknown:
    """Searches all other processes for the pipes waited on; searches nothing when there are none.

    A process whose descriptors are not ours to read is a possible holder when it may have the
    pipe by birth; see `_may_hold`. Otherwise it could only have been sent the descriptor over a
    socket, have opened a FIFO by its name, or have handed the pipe down through a process that is
    readable and has closed its own copy since: that is taken not to be. Descriptors on their way
    in a socket, or held by an io_uring alone, are in no table, and an observer in a PID namespace
    sees nobody outside of it.

    So an empty answer never means "no writer": the kernel ends a read from a pipe without writers
    at once, and a blocked reader with no writer in sight has one out of sight.

    The observer itself is searched like anyone else.

    Args:
        processes: of the tree, the first one its root.
        table: of all processes, read before those of the tree.
    """
    for facts in processes:
        if isinstance(facts.descriptors, Unknown):
            return unknown(facts.descriptors.reason)
    wanted = pipes_waited_on(processes)
    if not wanted:
        return known((), "no thread of the tree waits on a pipe")
    everybody = numbers_in("/proc")
    if 1 not in everybody:
        return unknown("other users' processes are hidden from us (/proc is mounted with hidepid)")
    inside = {facts.pid for facts in processes}
    found: list[PipeHolder] = []
    closed: dict[int, str] = {}
    for pid in everybody:
        if pid in inside or (pid in table and table[pid].is_kernel_thread):
            continue
        try:
            found += _held_by(pid, wanted)
        except OSError as error:
            if not is_gone(error):
                closed[pid] = os.strerror(error.errno or 0)
    for pid in closed:
        if _may_hold(pid, processes, wanted, table, closed.keys()):
            return unknown(
                f"process {pid} may hold a pipe of the tree; its descriptors are not readable:"
                f" {closed[pid]}"
            )
    return known(tuple(found), "/proc/*/fd")


def _may_hold(
    pid: int,
    processes: tuple[ProcessFacts, ...],
    wanted: frozenset[str],
    table: dict[int, Process],
    closed: Container[int],
) -> bool:
    """Whether an unreadable process may have a pipe of the tree by birth.

    From above: it is the root's parent, or further up with only unreadable ones between, or some
    pipe is one of the root's standard streams. From below: it may descend from the tree, which a
    process does not show once its parent has ended; but then its line leads, through processes
    younger than the tree, to an ancestor of the tree, where the orphan was taken in.
    """
    root = processes[0]
    assert isinstance(root.descriptors, Known)  # the caller looked
    if any(d.number <= 2 and d.target in wanted for d in root.descriptors.value):
        return True
    above = ancestors(root.pid, table)
    for ancestor in above:
        if ancestor == pid:
            return True
        if ancestor not in closed:
            break
    oldest = min(facts.started for facts in processes)
    process = table.get(pid)
    if process is not None and process.started < oldest:
        return False
    while process is not None and process.started >= oldest:
        process = table.get(process.parent)
    return process is None or process.pid in above


def _held_by(pid: int, wanted: frozenset[str]) -> list[PipeHolder]:
    directory = open_directory(f"/proc/{pid}")
    try:
        found: list[PipeHolder] = []
        fifos = any(target.startswith("fifo:") for target in wanted)
        for number in numbers_in(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"fd/{number}", dir_fd=directory)
                if fifos and target.startswith("/"):
                    target = target_of(number, directory)
                if target in wanted:
                    access = access_of(number, directory)
                    found.append(PipeHolder(pid=pid, target=target, access=access))
            except OSError as error:
                if not is_gone(error):
                    raise
            except ValueError:
                found.append(PipeHolder(pid=pid, target=target, access="rw"))
        return found
    finally:
        os.close(directory)
