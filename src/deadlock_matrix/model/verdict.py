"""Verdicts, and what makes ``deadlock`` more than a timeout."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


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
    "python-lock",  # an import lock or a Thread.join, whose owner the stacks tell
    "gil",
    "futex",  # without an owner
    "child",
    "pipe",
    "process",
    "tree",
]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, what a thread waits for, or a group of threads.

    ``id`` is unique within one proof. ``members`` is how many threads a process has that can run,
    or how many processes a tree has; 0 for everything else.
    """

    id: str
    kind: NodeKind
    label: str
    members: int = 0


Relation = Literal["waits for", "held by", "ended only by", "consists of"]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a proof, from ``tail`` to ``head``; ``source`` is where it was read.

    A thread *waits for* something. That is *held by* one thread, who alone can end the wait, or
    it can be *ended only by* some thread of a process or a tree, which *consists of* its members.
    """

    tail: str
    head: str
    relation: Relation
    source: str


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a proof needs besides its edges, and that was found to hold."""

    name: str
    subject: str  # the id of the node it is about
    detail: str
    source: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no proof: a fact that is not known, or a condition that does not hold."""

    kind: Literal["unknown", "does-not-hold"]
    subject: str  # what it is about, for a reader: "thread 12 'worker'"
    detail: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Why none of the threads in it can ever move again.

    It begins at ``roots`` and is closed: whatever could end the wait of a thread in it is itself a
    thread in it. Nothing in it is spare: see ``deadlock_matrix.proof.check``.
    """

    kind: ProofKind
    sentence: str
    roots: tuple[str, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    conditions: tuple[Condition, ...]


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What one thread does, in words: ``waits for mutex 0x7f.. of libfoo.so, held by thread 3``."""

    pid: int
    tid: int
    name: str  # in words: "main thread 12"
    does: str
    stuck: bool  # nobody but the stuck threads could wake it


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of evidence shows.

    ``deadlock`` and ``partial`` carry a proof; in ``partial`` the root process's main thread is
    not among the stuck ones, so the program may still do its work. ``gaps`` tell what keeps the
    main thread, or else the proof, from being stuck.
    """

    outcome: Literal["deadlock", "partial", "not-proved"]
    proof: Proof | None
    gaps: tuple[Gap, ...]
    threads: tuple[Doing, ...] = ()
