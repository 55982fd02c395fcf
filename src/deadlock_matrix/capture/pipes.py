"""Who outside a process tree has an end of a pipe that a thread of the tree waits on.

Two connected Unix sockets count as a pipe that leads both ways. Whoever holds the epoll through
which a thread waits for them counts as holding an end: that epoll could be told to wait for
something else.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from deadlock_matrix.capture.census import Census, visit_processes
from deadlock_matrix.capture.descriptor_tables import visit_tables
from deadlock_matrix.capture.descriptors import access_of, numbers_of, target_of
from deadlock_matrix.capture.foreign import beat
from deadlock_matrix.capture.newcomers import Restless, visit_all
from deadlock_matrix.capture.pinned import (
    EPOLL,
    IO_URING,
    held_by_calls,
    held_by_kernel,
    held_by_ring,
    watched_by_epoll,
)
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory, reason_of
from deadlock_matrix.capture.tree import Process, ancestors
from deadlock_matrix.capture.unix_sockets import may_carry
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import PipeHolder, ProcessFacts
from deadlock_matrix.model.system_calls import blocking
from deadlock_matrix.model.thread_facts import NoTimeout

_NAMED_OR_NOT = ("pipe:[", "fifo:[")
FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""That of the machine itself: the kernel's constant PROC_PID_INIT_INO."""


def pipes_waited_on(processes: Iterable[ProcessFacts]) -> frozenset[str]:
    """Return the pipes and FIFOs on which some thread is blocked in a transfer or a poll.

    Includes the Unix sockets that a thread polls together with nothing but pipes, and their other
    ends.
    """
    pipes: set[str] = set(_paired_sockets(processes))
    for process in processes:
        if isinstance(process.descriptors, Unknown):
            continue
        targets = {d.number: d.target for d in process.descriptors.value}
        for thread in process.threads:
            numbers: list[int] = []
            if (call := thread.call) is not None:
                numbers += [call.arguments[at] for at in blocking(call.name).descriptors_at]
            numbers += [polled.descriptor for polled in thread.polled.or_else(())]
            for number in numbers:
                target = targets.get(number & 0xFFFF_FFFF, "")
                if target.startswith(_NAMED_OR_NOT):
                    pipes.add(target)
    return frozenset(pipes)


def _paired_sockets(processes: Iterable[ProcessFacts]) -> Iterator[str]:
    """Yield both ends of socket pairs that could carry a proof: both in the tree, no time limit."""
    processes = tuple(processes)
    open_inside = {
        descriptor.target
        for process in processes
        if isinstance(process.descriptors, Known)
        for descriptor in process.descriptors.value
    }
    for process in processes:
        if isinstance(process.peers, Unknown) or isinstance(process.descriptors, Unknown):
            continue
        other_ends = {
            each.socket: each.other
            for each in process.peers.value
            if each.pair and each.other in open_inside
        }
        targets = {each.number: each.target for each in process.descriptors.value}
        for thread in process.threads if other_ends else ():
            limit = thread.timeout
            if not isinstance(thread.polled, Known) or not isinstance(limit, Known):
                continue
            polled = [targets.get(each.descriptor, "") for each in thread.polled.value]
            ends = [each for each in polled if each in other_ends]
            if isinstance(limit.value, NoTimeout) and all(
                each in other_ends or each.startswith("pipe:[") for each in polled
            ):
                yield from ends
                yield from (other_ends[each] for each in ends)


def outside_holders(
    processes: tuple[ProcessFacts, ...], census: Census
) -> Known[tuple[PipeHolder, ...]] | Unknown:
    """Search all other processes for the pipes that are waited on, if there are any.

    A process whose descriptors we may not read is a possible holder if it may have the pipe by
    birth; see `_may_hold`. Otherwise it could have it only if somebody sent it the descriptor over
    a socket, if it opened a FIFO by its name, or if it was handed down through a process that is
    readable and has since closed its own copy: we assume that this is not so. While descriptors are
    on their way in anybody's socket, the answer is unknown. A pipe held by an io_uring alone is in
    no table, and an observer in a PID namespace sees nobody outside it.

    So an empty answer never means "no writer": the kernel ends a read from a pipe without writers
    at once, so a blocked reader with no visible writer has one that we cannot see.

    The observer itself is searched like anyone else, and so is each process born meanwhile.

    Args:
        processes: Those of the tree, the root first.
        census: All processes, read before those of the tree.
    """
    for facts in processes:
        if isinstance(facts.descriptors, Unknown):
            return unknown(facts.descriptors.reason)
    wanted = pipes_waited_on(processes)
    if not wanted:
        return known((), "no thread of the tree waits on a pipe")
    if 1 not in numbers_in("/proc"):
        return unknown("other users' processes are hidden from us (/proc is mounted with hidepid)")
    problem = _inherited_from_out_of_sight(processes[0], wanted) or _kernel_has_one(
        processes, wanted
    )
    if problem:
        return unknown(problem)
    inside = {facts.pid for facts in processes}
    pinned: list[str] = []
    found: dict[PipeHolder, None] = {}
    closed: dict[int, str] = {}
    carriers: set[int] = set()
    table = dict(census.table)

    def skip(process: Process) -> bool:
        table[process.pid] = process
        return process.pid in inside or process.is_kernel_thread or process.has_ended

    def visit(process: Process) -> bool:
        beat()
        pid = process.pid
        try:
            single = visit_tables(
                process, lambda tid: found.update(_held_by(pid, tid, wanted, carriers, pinned))
            )
            pinned.extend(_in_calls(pid, (pid,) if single else None))
        except OSError as error:
            if is_gone(error):
                del table[pid]
                return False
            closed[pid] = os.strerror(error.errno or 0)
        return True

    try:
        visit_processes(census, skip, visit)
    except Restless as error:
        return unknown(f"who holds the pipes: {error}")
    if carriers:
        # One of them may be an end of the pipe, which is in nobody's table until it is received.
        return unknown(f"descriptors are on their way in a socket of process {min(carriers)}")
    if pinned:
        return unknown(pinned[0])
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
    """Return whether an unreadable process may have a pipe of the tree by birth.

    From above: it is the root's parent, or is further up with only unreadable ones in between, or
    some pipe is one of the root's standard streams. From below: it may descend from the tree, which
    a process does not show once its parent has ended. But then its line of parents leads, through
    processes younger than the tree, to an ancestor of the tree that adopted the orphan.
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


def _in_calls(pid: int, threads: tuple[int, ...] | None) -> list[str]:
    """Say how calls may hold a pipe: those of these threads, or of all that there are."""
    directory = open_directory(f"/proc/{pid}")
    try:
        problem = held_by_calls(pid, directory, threads)
    except PermissionError:
        problem = ""  # Yama: seeing what it does takes more rights than seeing what it has open
    finally:
        os.close(directory)
    return [problem] if problem else []


def _kernel_has_one(processes: tuple[ProcessFacts, ...], wanted: frozenset[str]) -> str:
    directories: list[int] = []
    try:
        for facts in processes:
            directories.append(open_directory(f"/proc/{facts.pid}"))
        return held_by_kernel(directories, wanted)
    except OSError as error:
        return reason_of(error, "the mounts of the processes")
    finally:
        for directory in directories:
            os.close(directory)


def _inherited_from_out_of_sight(root: ProcessFacts, wanted: frozenset[str]) -> str:
    """Say whether the root, in a PID namespace, may have inherited a pipe from outside it."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError as error:
        return reason_of(error, "/proc/self/ns/pid")
    if namespace == FIRST_PID_NAMESPACE:
        return ""
    assert isinstance(root.descriptors, Known)  # the caller looked
    for descriptor in root.descriptors.value:
        if descriptor.target in wanted and (descriptor.number <= 2 or root.parent == 0):
            return (
                f"{descriptor.target} may have been inherited from outside of the PID namespace "
                "we are in, where nobody can be seen"
            )
    return ""


def _held_by(
    pid: int, tid: int, wanted: frozenset[str], carriers: set[int], pinned: list[str]
) -> dict[PipeHolder, None]:
    """Return which of the pipes a thread's table has; add to ``carriers`` who may be sent more.

    ``pinned`` collects what holds files without a descriptor.
    """
    directory = open_directory(f"/proc/{pid}/task/{tid}")
    found: dict[PipeHolder, None] = {}
    fifos = any(target.startswith("fifo:") for target in wanted)
    sockets = frozenset(target for target in wanted if target.startswith("socket:["))
    is_observer = pid == os.getpid()  # whose listing is itself an open file, gone at once

    def look(number: int) -> bool:
        target = ""
        try:
            target = os.readlink(f"fd/{number}", dir_fd=directory)
            if fifos and target.startswith("/"):
                target = target_of(number, directory)
            if target.startswith("socket:[") and may_carry(number, directory):
                carriers.add(pid)
            if target == IO_URING:
                ring = held_by_ring(number, directory, wanted)
                pinned.extend([f"process {pid}: {ring}"] if ring else [])
            if sockets and target == EPOLL:
                watched = watched_by_epoll(number, directory, sockets)
                pinned.extend([f"process {pid}: {watched}"] if watched else [])
            if target in wanted:
                access = access_of(number, directory)
                found[PipeHolder(pid=pid, target=target, access=access)] = None
        except OSError as error:
            if not is_gone(error):
                raise
            return is_observer
        except ValueError:
            found[PipeHolder(pid=pid, target=target, access="rw")] = None
        return True

    try:
        visit_all(f"open files of process {pid}", lambda: numbers_of(directory), look)
        return found
    finally:
        os.close(directory)
