"""The traces of a failure to look through, from a cell's result or from an inspection."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.cell import Calling, Stdin
from deadlock_matrix.model.evidence import Machine
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import (
    End,
    ImportStep,
    Output,
    Raised,
)
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import NativeFrame
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import Gap, Proof, Verdict


class ThreadTraces(msgspec.Struct, frozen=True, kw_only=True):
    """One thread, with what its process adds to it."""

    pid: int
    facts: ThreadFacts
    process: ProcessFacts
    python: Known[tuple[PythonFrame, ...]] | Unknown
    native: Known[tuple[NativeFrame, ...]] | Unknown
    holds_gil: Known[bool] | Unknown
    forked: Known[bool] | Unknown
    lock: Known[str] | Unknown  # what it waits for, in the proof's words
    does: Known[str] | Unknown  # in the judgement's words


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The proof, if there is one, and what else stood in the way of one."""

    proof: Proof | None  # None: there is none
    gaps: tuple[Gap, ...]


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in which signs are looked for; ``threads`` are by process."""

    verdict: Known[Verdict] | Unknown
    calling: Known[Calling] | Unknown
    stdin: Known[Stdin] | Unknown
    environment: Known[dict[str, str]] | Unknown
    stdout: Known[Output] | Unknown
    stderr: Known[Output] | Unknown
    end: Known[End] | Unknown
    raised: Known[tuple[Raised, ...]] | Unknown
    chains: Known[dict[str, tuple[ImportStep, ...]]] | Unknown
    loaded: Known[tuple[str, ...]] | Unknown  # libraries, as the process itself reported at its end
    judged: Known[Judged] | Unknown
    machine: Known[Machine] | Unknown
    threads: Known[tuple[tuple[ThreadTraces, ...], ...]] | Unknown
    fingerprint: Known[Fingerprint] | Unknown
