"""A process or a command, looked at outside any matrix: what the command line prints."""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.diagnosis import KnownCause
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import End
from deadlock_matrix.model.report import SCHEMA_VERSION, Tool
from deadlock_matrix.model.verdict import Doing, Gap, Outcome, Proof, TaskDoing


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one process tree, and what follows.

    ``verdict`` is ``not-proved`` if a look at a living process proves nothing: it may be healthy.
    It is ``ended`` if a watched command ended by itself, or was interrupted: ``end`` says how, and
    the rest what was found stuck before. ``detected_after_s`` counts from the last progress seen,
    known if a command was watched from its start; so does ``unmoved_s``, up to the last look.
    """

    schema_version: int = SCHEMA_VERSION
    tool: Tool
    subject: str  # "process 7868" or the command
    verdict: Literal["deadlock", "hang", "slow", "not-proved", "ended"]
    partial: bool  # threads are deadlocked, others of the root process may go on
    sentence: str
    proof: Proof | None
    gaps: tuple[Gap, ...]
    threads: tuple[Doing, ...]
    libraries: tuple[str, ...]
    detected_after_s: Known[float] | Unknown
    evidence: Known[Evidence] | Unknown
    outcome: Outcome = "not-proved"  # what the last look shows, with its strength
    unmoved_s: Known[float] | Unknown = Unknown(reason="not read by this version")
    tasks: tuple[TaskDoing, ...] = ()
    likely: Proof | None = None  # besides a proof about some threads: what is likely about all
    end: Known[End] | Unknown = Unknown(reason="not read by this version")
    causes: tuple[KnownCause, ...] = ()  # known causes that were recognised, with what helps
