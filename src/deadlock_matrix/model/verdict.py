"""Verdicts, and what makes ``deadlock`` more than a timeout."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from deadlock_matrix.model.stack_facts import Awaited, HeldLock
from deadlock_matrix.model.tasks import Entered, TaskAwaits


class Verdict(StrEnum):
    """How one cell, or one watched process, came out."""

    OK = "ok"
    ERROR = "error"  # the entry raised, or the process ended with a status other than 0
    CRASH = "crash"  # ended by a signal that nobody here sent
    DEADLOCK = "deadlock"  # proved
    HANG = "hang"  # no progress until the deadline, not proved
    SLOW = "slow"  # still progressing at the deadline
    UNAVAILABLE = "unavailable"  # could not be run
    INVALID = "invalid"  # a control failed, so the result proves nothing


class ProofKind(StrEnum):
    """Which of the two proofs holds."""

    OWNER = "owner"
    CLOSED_WORLD = "closed-world"


NodeKind = Literal[
    "thread",
    "lock",  # native, with an owner
    "end",  # of a thread that is joined natively
    "python-lock",  # an import lock or a Thread.join, whose owner the stacks show
    "rlock",  # of Python, which names its owner
    "with-lock",  # a Lock of Python whose ``with`` block one thread is in
    "shared-lock",  # of multiprocessing or of a file: a process has taken it
    "object",  # of Python, without an owner, that only some threads know
    "gil",
    "stop",  # of the world, in a free-threaded build: of a thread that is attached
    "futex",  # without an owner
    "child",
    "pipe",
    "polled",  # pipes, or pairs of sockets, any of which could end the wait
    "threads",  # those that know an object
    "process",
    "tree",
    "all-threads",  # of the root process: the proof also claims that none of them goes on
    "task",  # of asyncio
    "task-lock",  # of asyncio: a lock or semaphore whose ``async with`` blocks tasks are in
    "task-wait",  # an event, a queue, a future: whoever has a reference may end the wait for it
    "task-end",  # of tasks that another one awaits
    "tasks",  # several, any of which could end a wait
]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, what a thread waits for, or a group of threads.

    ``id`` is unique within one proof. ``members`` is how many threads of a process can run, or how
    many processes a tree has; 0 for everything else.
    """

    id: str
    kind: NodeKind
    label: str
    members: int = 0


Relation = Literal["waits for", "held by", "ended only by", "consists of"]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a proof, from ``tail`` to ``head``; ``source`` is where it was read.

    A thread *waits for* something. That is *held by* one thread, which alone can end the wait, or
    it can be *ended only by* some thread of a process or a tree, which *consists of* its members.
    """

    tail: str
    head: str
    relation: Relation
    source: str


class Strength(StrEnum):
    """Whether an answer rests on facts alone, or also on assumptions."""

    PROVED = "proved"
    LIKELY = "likely"


class AssumptionKind(StrEnum):
    """What an answer may rest on without being able to read it: a closed list, on purpose."""

    NO_ALARM = "no-alarm"  # a process has set no interval timer that would end or wake it
    NO_SIGNAL = "no-signal"  # nobody sends a signal whose handler could wake a thread
    FOREIGN_HANDLER = "foreign-handler"  # a handler in C, whose code is not known, wakes nobody
    NOT_INTERRUPTED = "not-interrupted"  # nobody sends SIGINT, which Python's main thread obeys
    NOT_CANCELLED = "not-cancelled"  # nobody cancels the waiting thread, or task
    NOT_COLLECTED = "not-collected"  # the garbage collector does not destroy a task
    RELEASED_BY_HOLDER = "lock-released-by-holder"  # only the thread that took the lock releases it
    ENDED_BY_USERS = "ended-by-users"  # only threads in whose frames an object is use it
    DONE_BY_ITS_POOL = "done-by-its-pool"  # only its pool completes a future
    NOT_TOUCHED = "not-touched"  # nobody ends or changes the wait behind everybody's back


class Assumption(msgspec.Struct, frozen=True, kw_only=True):
    """Something that cannot be read, assumed to be so, with what speaks for it.

    ``detail`` is a clause that follows "if": ``no SIGTERM comes (its handler is app.stop,
    app.py:12)``. ``source`` is where the evidence for it was read.
    """

    kind: AssumptionKind
    subject: str  # the id of the node it is about
    detail: str
    source: str


ConditionName = Literal[
    # of a thread that sleeps in a system call
    "asleep-throughout",
    "no-time-limit",
    "in-that-call",
    "private-futex",
    "not-interrupted",
    "array-unchanged",
    "no-outside-end",
    "between-processes",
    "no-signal-by-file",
    "lock-of-that-line",
    "released-by-holder",
    "ended-by-them",
    # of the interpreter
    "waits-for-gil",
    "gil-by-thread-state",
    "waits-for-stop",
    # of a process, or of a tree of them
    "threads-complete",
    "processes-complete",
    "no-waking-signal",
    "no-timer",
    "no-alarm",
    "no-tracer",
    "memory-not-shared",
    "no-io-uring",
    "no-foreign-handler",
    "no-cancellation",
    # of a task
    "suspended-throughout",
    "not-cancelled",
    "not-collected",
    "known-to-tasks-alone",
]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a proof needs besides its edges, and that was found to hold.

    ``assumes`` names what had to be assumed for it; a fact assumes nothing.
    """

    name: ConditionName
    subject: str  # the id of the node it is about
    detail: str
    source: str
    assumes: tuple[Assumption, ...] = ()


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no proof: an unknown fact, or a condition that does not hold."""

    kind: Literal["unknown", "does-not-hold"]
    subject: str  # what it is about, for a reader: "thread 12 'worker'"
    detail: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Why none of the threads in it can ever move again.

    It begins at ``roots`` and is closed: whatever could end the wait of a thread in it is itself a
    thread in it. It may be about tasks of asyncio instead of threads. Nothing in it is superfluous:
    see ``deadlock_matrix.proof.check``. It is *proved* if it rests on facts alone; ``assumptions``
    are those that its conditions name, and make it *likely*.
    """

    kind: ProofKind
    sentence: str
    roots: tuple[str, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    conditions: tuple[Condition, ...]
    assumptions: tuple[Assumption, ...] = ()

    @property
    def strength(self) -> Strength:
        """Proved, or likely."""
        return Strength.LIKELY if self.assumptions else Strength.PROVED


def core_of(proof: Proof) -> Proof:
    """Return what is behind the threads at which it begins, without the claim about all others."""
    claims = {node.id for node in proof.nodes if node.kind == "all-threads"}
    following: dict[str, list[str]] = {}
    for edge in proof.edges:
        following.setdefault(edge.tail, []).append(edge.head)
    roots = tuple(root for root in proof.roots if root not in claims)
    waiting, seen = list(roots), set(roots)
    while waiting:
        new = [head for head in following.get(waiting.pop(), ()) if head not in seen]
        seen.update(new)
        waiting += new
    of_processes = {node.id for node in proof.nodes if node.kind == "process"}
    return msgspec.structs.replace(
        proof,
        roots=roots,
        nodes=tuple(node for node in proof.nodes if node.id in seen or node.id in of_processes),
        edges=tuple(edge for edge in proof.edges if edge.tail in seen),
        conditions=tuple(each for each in proof.conditions if each.subject in seen | of_processes),
    )


class HeldBy(msgspec.Struct, frozen=True, kw_only=True):
    """The one thread that has what another waits for, and how that was found out.

    A suspended task may hold a lock, too: then ``tid`` is the thread that runs its loop, or 0.
    """

    pid: int
    tid: int
    name: str  # in words: "thread 12 'writer'", "task 'reader'"
    how: str  # "inside `with self._lock` at store.py:40", or where its ownership was read


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What one thread does, in words: ``waits for mutex 0x7f.. of libfoo.so, held by thread 3``.

    ``waits_for`` is what it sleeps for, as its program knows it; ``holds`` are the locks whose
    ``with`` blocks it is in. ``held_by`` is given for native locks, joins and import locks too.
    ``lead`` is a clause that suggests an endless wait where nothing is proved.
    """

    pid: int
    tid: int
    name: str  # in words: "main thread 12"
    does: str
    stuck: bool  # nobody but the stuck threads could wake it
    likely: bool = False  # stuck, if the answer's assumptions hold
    waits_for: Awaited | None = None
    holds: tuple[HeldLock, ...] = ()
    held_by: HeldBy | None = None
    lead: str = ""


class TaskHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The task that has what another waits for, and how that was found out."""

    address: int
    name: str  # "task 'writer'"
    how: str  # "inside `async with lock` at store.py:40"


class TaskDoing(msgspec.Struct, frozen=True, kw_only=True):
    """What one task of asyncio does, in words: ``waits for Lock 0x7f.. (lock)``.

    ``tid`` is the thread that runs its loop, 0 if none does. ``stuck`` and ``likely`` are as in
    `Doing`: it is stuck because its loop's thread is, or because of the tasks it waits for.
    ``core``: it is one of those that the answer is about. ``waits_for_tasks`` are addresses.
    """

    pid: int
    tid: int
    address: int
    name: str  # in words: "task 'writer'"
    does: str
    stuck: bool = False
    likely: bool = False
    core: bool = False
    awaits: TaskAwaits | None = None
    inside: tuple[Entered, ...] = ()
    held_by: tuple[TaskHolder, ...] = ()
    waits_for_tasks: tuple[int, ...] = ()


Outcome = Literal["deadlock", "likely", "partial", "likely-partial", "not-proved"]

TITLES: dict[Outcome, str] = {
    "deadlock": "deadlock",
    "likely": "likely deadlock",
    "partial": "partial deadlock",
    "likely-partial": "likely partial deadlock",
    "not-proved": "no deadlock proved",
}
"""Each outcome for a reader."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of evidence shows.

    All but ``not-proved`` carry a proof. ``deadlock``: no thread of the root process can go on;
    ``partial``: some threads cannot, whether the main thread or one process of the tree, but others
    of the root process may still do work. ``likely`` and ``likely-partial`` say the same under
    assumptions. The field ``likely``, besides a ``partial`` that is proved, is what is likely about
    the whole. ``gaps`` say what keeps the main thread, or else the proof, from being stuck.
    """

    outcome: Outcome
    proof: Proof | None
    gaps: tuple[Gap, ...]
    threads: tuple[Doing, ...] = ()
    likely: Proof | None = None
    tasks: tuple[TaskDoing, ...] = ()

    @property
    def likely_whole(self) -> Proof | None:
        """The proof that none of the root process's threads goes on, under assumptions."""
        return self.proof if self.outcome == "likely" else self.likely
