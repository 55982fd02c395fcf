"""What was seen of a process tree from outside: raw facts, not interpretation.

Everything here is stored in a report as it was read, so that the verdict can be worked out again on
another machine. Numbers from the kernel keep the kernel's units.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.stack_facts import StackFacts, ThreadStack


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers in a snapshot depend on."""

    system: str  # "linux", "darwin", "win32"
    architecture: str  # "x86_64", "aarch64"
    kernel: str
    libc: str  # the target's: "glibc 2.36", "musl", or why it is not known
    pointer_bits: int = 64


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A process above the tree: the parent, and others that may act by themselves.

    They may act by a POSIX timer, or otherwise after some time. ``threads`` are the ids that its
    threads have for themselves: a lock that a fork left behind may name one of them. ``limits``: it
    waits for the end of the root, and for a limited time.
    """

    pid: int
    name: str
    timers: tuple[str, ...]
    acts: str  # "has a timer", "waits with a time limit", "is running", or nothing
    threads: tuple[int, ...] = ()
    sends: str = ""  # the signal that it then sends, if its arguments tell: "SIGTERM"
    limits: bool = False


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Two snapshots with the stacks read between them.

    ``native_stacks`` need the process to be stopped for a moment; they are read after ``after``,
    for people: no proof rests on them. ``parents`` are the parent of the tree and those ancestors
    that are known to act by themselves, and could interrupt its root.
    """

    machine: Machine
    before: Snapshot
    stacks: tuple[StackFacts, ...]
    after: Snapshot
    native_stacks: tuple[StackFacts, ...] = ()
    parents: tuple[Parent, ...] = ()  # looked for if the observer is not the parent

    def python(self) -> dict[tuple[int, int], ThreadStack]:
        """Map process and thread to the Python stack, where one was read."""
        return {(facts.pid, each.tid): each for facts in self.stacks for each in facts.threads}
