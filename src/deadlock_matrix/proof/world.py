"""The evidence, indexed: threads by process and id, the two snapshots side by side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Peer, PipeHolder, ProcessFacts
from deadlock_matrix.model.stack_facts import HeldLock, ProcessStacks, ThreadStack
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import Gap

Key = tuple[int, int]
"""Process id and thread id, as the observer sees them."""

InsideBlock = tuple[Key, HeldLock, str]
"""A thread inside the ``with`` block of a lock, the block, and where that was read."""

BegunByObjects = tuple[dict[str, list[Key]], frozenset[Key]]
"""The threads of a process by their ``Thread`` object's address, and those that show none."""

GONE = frozenset("ZX")
"""States of a thread that has ended; an ended leader stays listed while others live."""


class World(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One tree of processes at the instant between two snapshots."""

    evidence: Evidence
    before: dict[int, ProcessFacts]
    after: dict[int, ProcessFacts]
    stacks: dict[int, Known[ProcessStacks] | Unknown]
    threads_before: dict[Key, ThreadFacts]
    threads: dict[Key, ThreadFacts]
    root: int
    live_by_process: dict[int, frozenset[Key]] = msgspec.field(default_factory=dict)
    everyone: frozenset[Key] = frozenset()  # of all processes
    by_own_ids: dict[tuple[int, int], Key] = msgspec.field(default_factory=dict)
    stack_by_thread: dict[Key, ThreadStack] = msgspec.field(default_factory=dict)
    # Answers about whole processes that every thread needs, kept by whoever works them out.
    interruptible: dict[int, bool] = msgspec.field(default_factory=dict)
    in_c_code: dict[int, tuple[Key, ...]] = msgspec.field(default_factory=dict)
    gil_holders: dict[int, tuple[Key, str] | Gap] = msgspec.field(default_factory=dict)
    inside_blocks: dict[int, dict[int, list[InsideBlock]]] = msgspec.field(default_factory=dict)
    begun_by_objects: dict[int, BegunByObjects] = msgspec.field(default_factory=dict)
    importing: dict[int, dict[str, list[Key]]] = msgspec.field(default_factory=dict)
    socket_readers: dict[tuple[str, str], list[Key]] = msgspec.field(default_factory=dict)

    @property
    def machine(self) -> Machine:
        """What the numbers depend on."""
        return self.evidence.machine

    @property
    def outside_holders(self) -> Known[tuple[PipeHolder, ...]] | Unknown:
        """Who outside has a pipe of the tree open."""
        return self.evidence.after.outside_holders

    @cached_property
    def open_rings(self) -> Known[tuple[int, ...]] | Unknown:
        """The processes that have an io_uring open."""
        found: list[int] = []
        for pid, process in self.after.items():
            if not isinstance(process.descriptors, Known):
                return unknown(f"descriptors of {pid}: {process.descriptors.reason}")
            if any("io_uring" in descriptor.target for descriptor in process.descriptors.value):
                found.append(pid)
        return known(tuple(found), "/proc/*/fd")

    @cached_property
    def inside_semaphores(self) -> dict[str, list[tuple[Key, HeldLock]]]:
        """Who is inside ``with`` blocks of semaphores shared between processes, by their files."""
        found: dict[str, list[tuple[Key, HeldLock]]] = {}
        for key, stack in self.stack_by_thread.items():
            if key in self.threads and isinstance(stack.holds, Known):
                for block in stack.holds.value:
                    if block.semaphore:
                        found.setdefault(block.semaphore, []).append((key, block))
        return found

    @cached_property
    def targets(self) -> dict[int, dict[int, str]]:
        """What the descriptors of each process lead to, by their numbers."""
        return {
            pid: {each.number: each.target for each in reversed(process.descriptors.value)}
            for pid, process in self.after.items()
            if isinstance(process.descriptors, Known)
        }

    @cached_property
    def who_has(self) -> dict[str, set[int]]:
        """The processes that have something open, by what their descriptors lead to."""
        found: dict[str, set[int]] = {}
        for pid, targets in self.targets.items():
            for target in targets.values():
                found.setdefault(target, set()).add(pid)
        return found

    @cached_property
    def peers(self) -> dict[int, dict[str, Peer]]:
        """The other ends of each process's sockets, by the process's own ones."""
        return {
            pid: {peer.socket: peer for peer in reversed(process.peers.value)}
            for pid, process in self.after.items()
            if isinstance(process.peers, Known)
        }

    def live(self, pid: int) -> frozenset[Key]:
        """Return the threads of a process that have not ended."""
        return self.live_by_process[pid]

    def roots(self) -> frozenset[Key]:
        """Return who must go on for the program to go on: the main thread, or else all others."""
        live = self.live(self.root)
        main = (self.root, self.root)
        return frozenset([main]) if main in live else live

    def by_own_tid(self, pid: int, own_tid: int) -> Key | None:
        """Return the live thread of a process that has this id for itself."""
        return self.by_own_ids.get((pid, own_tid))

    def left_behind(self, pid: int, own_tid: int) -> Key | None:
        """Return an ancestor's thread with this id, which a fork did not copy into ``pid``.

        For the parent of the whole tree, perhaps only the ids of its threads are known.
        """
        above = self.after.get(self.after[pid].parent)
        while above is not None:
            thread = self.by_own_tid(above.pid, own_tid)
            if thread is not None:
                return thread
            above = self.after.get(above.parent)
        for parent in self.evidence.parents:
            if parent.pid == self.after[self.root].parent and own_tid in parent.threads:
                return parent.pid, own_tid
        return None

    def name(self, key: Key) -> str:
        """Name a thread: ``main thread 12``, ``thread 13``, ``thread 14 'worker'``."""
        pid, tid = key
        thread = self.threads[key]
        main = self.threads.get((pid, pid))
        stack = self.stack_by_thread.get(key)
        name = (stack.name if stack is not None else "") or thread.name
        # Threads that nobody named have the program's name, which says nothing.
        named = main is None or name not in (main.name, "MainThread")
        quoted = f" '{name}'" if named else ""
        if len(self.after) == 1:
            return f"main thread {tid}" if tid == pid else f"thread {tid}{quoted}"
        if tid == pid:
            return f"main thread of process {pid}"
        return f"thread {tid}{quoted} of process {pid}"


def index(evidence: Evidence) -> World:
    """Index ``evidence``; costs one pass over its threads."""
    before = {process.pid: process for process in evidence.before.processes}
    after = {process.pid: process for process in evidence.after.processes}
    stacks = {facts.pid: facts.stacks for facts in evidence.stacks}
    live = {
        pid: frozenset((pid, thread.tid) for thread in process.threads if thread.state not in GONE)
        for pid, process in after.items()
    }
    return World(
        evidence=evidence,
        before=before,
        after=after,
        stacks=stacks,
        threads_before=dict(_threads(before)),
        threads=dict(_threads(after)),
        root=evidence.after.root,
        live_by_process=live,
        everyone=frozenset().union(*live.values()),
        by_own_ids={
            (pid, thread.own_tid): (pid, thread.tid)
            for pid, process in after.items()
            for thread in process.threads
            if thread.state not in GONE
        },
        stack_by_thread={
            (pid, thread.tid): thread
            for pid, fact in stacks.items()
            if isinstance(fact, Known)
            for thread in fact.value.threads
        },
    )


def between_snapshots(world: World, stacks: ProcessStacks) -> bool:
    """Return whether stacks were read between the snapshots, while those asleep in both slept."""
    before, after = world.evidence.before, world.evidence.after
    return before.ended_s <= stacks.begun_s <= stacks.ended_s <= after.begun_s


def _threads(processes: dict[int, ProcessFacts]) -> Iterator[tuple[Key, ThreadFacts]]:
    for pid, process in processes.items():
        for thread in process.threads:
            yield (pid, thread.tid), thread
