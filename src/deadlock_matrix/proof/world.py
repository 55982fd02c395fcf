"""The evidence, indexed: threads by process and id, the two snapshots side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from deadlock_matrix.model.evidence import (
    Evidence,
    Machine,
    PipeHolder,
    ProcessFacts,
    ProcessStacks,
    ThreadFacts,
    ThreadStack,
)
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.verdict import Gap

Key = tuple[int, int]
"""Process id and thread id, as the observer sees them."""

GONE = frozenset("ZX")
"""States of a thread that has ended; an ended leader stays listed while others live."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One tree of processes at the instant between two snapshots."""

    evidence: Evidence
    before: dict[int, ProcessFacts]
    after: dict[int, ProcessFacts]
    stacks: dict[int, Known[ProcessStacks] | Unknown]
    threads_before: dict[Key, ThreadFacts]
    threads: dict[Key, ThreadFacts]
    root: int
    live_by_process: dict[int, frozenset[Key]] = field(default_factory=dict)
    everyone: frozenset[Key] = frozenset()  # of all processes
    by_own_ids: dict[tuple[int, int], Key] = field(default_factory=dict)
    stack_by_thread: dict[Key, ThreadStack] = field(default_factory=dict)
    # Answers about whole processes that every thread asks for, kept by who works them out.
    interruptible: dict[int, bool] = field(default_factory=dict)
    gil_holders: dict[int, tuple[Key, str] | Gap] = field(default_factory=dict)

    @property
    def machine(self) -> Machine:
        """What the numbers depend on."""
        return self.evidence.machine

    @property
    def outside_holders(self) -> Known[tuple[PipeHolder, ...]] | Unknown:
        """Who outside has a pipe of the tree open."""
        return self.evidence.after.outside_holders

    def live(self, pid: int) -> frozenset[Key]:
        """The threads of a process that have not ended."""
        return self.live_by_process[pid]

    def roots(self) -> frozenset[Key]:
        """Who must get on for the program to get on: the main thread, or what is left without."""
        live = self.live(self.root)
        main = (self.root, self.root)
        return frozenset([main]) if main in live else live

    def by_own_tid(self, pid: int, own_tid: int) -> Key | None:
        """The live thread of a process with this id in its own eyes."""
        return self.by_own_ids.get((pid, own_tid))

    def left_behind(self, pid: int, own_tid: int) -> Key | None:
        """The thread of a parent that has this id: one that a fork did not copy into ``pid``."""
        above = self.after.get(self.after[pid].parent)
        while above is not None:
            thread = self.by_own_tid(above.pid, own_tid)
            if thread is not None:
                return thread
            above = self.after.get(above.parent)
        return None

    def name(self, key: Key) -> str:
        """A thread in words: ``main thread 12``, ``thread 13``, ``thread 14 'worker'``."""
        pid, tid = key
        thread = self.threads[key]
        main = self.threads.get((pid, pid))
        # Threads that nobody named have the name of the program: that tells nothing.
        named = main is None or thread.name != main.name
        quoted = f" '{thread.name}'" if named else ""
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


def _threads(processes: dict[int, ProcessFacts]) -> Iterator[tuple[Key, ThreadFacts]]:
    for pid, process in processes.items():
        for thread in process.threads:
            yield (pid, thread.tid), thread
