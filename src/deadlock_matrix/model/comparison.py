"""Two reports side by side: what changed, and which changes fail a gate."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Host, Tool

COMPARISON_VERSION = 1


class ChangeKind(StrEnum):
    """What is different in the new report. A cell may have several changes."""

    INVALID = "invalid"  # controls failed, or were not run: the comparison proves nothing
    NEW_DEADLOCK = "new-deadlock"
    NEW_HANG = "new-hang"
    NEW_CRASH = "new-crash"
    NEW_ERROR = "new-error"
    NEW_SLOW = "new-slow"  # the deadline came while it was still progressing
    MORE_OFTEN = "more-often"  # it did so before too, but less often than chance explains
    NEWLY_IMPORTED = "newly-imported"  # a watched module is imported now, and was not before
    SLOWER = "slower"
    MISSING_CELL = "missing-cell"
    UNAVAILABLE_NOW = "unavailable-now"
    CHANGED_PROOF = "changed-proof"  # a deadlock as before, by another circle of waits
    CHANGED_VERDICT = "changed-verdict"  # another verdict, and not a worse one
    CHANGED_INTERPRETER = "changed-interpreter"
    RENAMED_INTERPRETER = "renamed-interpreter"
    REDEFINED_CELL = "redefined-cell"  # the same id means another experiment
    FLAKY = "flaky"  # comes and goes; the rates do not tell the two reports apart
    UNDECIDED_TIME = "undecided-time"  # looks slower or faster, and nothing can be concluded
    CURED_DEADLOCK = "cured-deadlock"
    CURED_HANG = "cured-hang"
    CURED_CRASH = "cured-crash"
    CURED_ERROR = "cured-error"
    CURED_SLOW = "cured-slow"
    LESS_OFTEN = "less-often"
    NO_LONGER_IMPORTED = "no-longer-imported"
    FASTER = "faster"
    NEW_CELL = "new-cell"
    AVAILABLE_NOW = "available-now"


WORSE: tuple[ChangeKind, ...] = (
    ChangeKind.INVALID,
    ChangeKind.NEW_DEADLOCK,
    ChangeKind.NEW_HANG,
    ChangeKind.NEW_CRASH,
    ChangeKind.NEW_ERROR,
    ChangeKind.NEW_SLOW,
    ChangeKind.MORE_OFTEN,
    ChangeKind.NEWLY_IMPORTED,
    ChangeKind.SLOWER,
    ChangeKind.MISSING_CELL,
    ChangeKind.UNAVAILABLE_NOW,
)
"""Kinds that fail a gate unless the configuration says which."""


BETTER: tuple[ChangeKind, ...] = (
    ChangeKind.CURED_DEADLOCK,
    ChangeKind.CURED_HANG,
    ChangeKind.CURED_CRASH,
    ChangeKind.CURED_ERROR,
    ChangeKind.CURED_SLOW,
    ChangeKind.LESS_OFTEN,
    ChangeKind.NO_LONGER_IMPORTED,
    ChangeKind.FASTER,
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference.

    ``cell`` is the cell's id, without a repeat number, in the new report, or in the old one if it
    is gone; the interpreter's name for a change of an interpreter; empty for a change of the run.
    ``sentence`` omits the cell, so that the same change in many cells is listed once.
    """

    kind: ChangeKind
    cell: str
    before: str
    after: str
    sentence: str


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two reports; ``runs`` are those that were merged into it, or the report itself."""

    run: str
    started: str
    runs: tuple[str, ...]
    hosts: tuple[Host, ...]
    tool: Tool
    outcome: RunOutcome
    cells: int


class InterpreterPair(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter in both reports, with its matrix cells counted by verdict.

    An empty name means that it is not in that report.
    """

    before: str
    after: str
    verdicts_before: dict[str, int]
    verdicts_after: dict[str, int]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a difference must exceed to be more than chance.

    Args:
        alpha: Accepted chance of a false alarm in a test of one cell.
        ratio: Times differ if their medians differ by at least this factor,
        difference_s: And by at least this many seconds.
    """

    alpha: float = 0.05
    ratio: float = 1.25
    difference_s: float = 0.02


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs, worst first; ``unchanged`` counts the cells without any change.

    ``timed`` counts the cells whose times were compared, ``too_few`` those among them that had too
    few runs to show any difference.
    """

    before: Side
    after: Side
    interpreters: tuple[InterpreterPair, ...]
    changes: tuple[Change, ...]
    cells: tuple[str, ...]  # ids of those about which the new report says something
    unchanged: int
    timed: int
    too_few: int
    limits: Limits


class ExpectedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is known, and does not fail the gate up to and including the day ``until``.

    ``cell`` is a glob pattern over what `Change.cell` holds.
    """

    cell: str
    kind: ChangeKind
    reason: str
    until: date


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes fail, and which of them do not fail yet."""

    fail_on: tuple[ChangeKind, ...] = WORSE
    expected: tuple[ExpectedChange, ...] = ()


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """A change that would fail, and what lets it pass."""

    change: Change
    expected: ExpectedChange


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says on the day ``judged``.

    ``expired`` no longer let anything pass. ``passing`` matched no change although a cell they are
    about was run: what was expected to fail does not. ``idle`` concern no cell that was run.
    """

    passed: bool  # nothing failed
    judged: date
    fail_on: tuple[ChangeKind, ...]
    failed: tuple[Change, ...]
    allowed: tuple[Allowed, ...] = ()
    expired: tuple[ExpectedChange, ...] = ()
    passing: tuple[ExpectedChange, ...] = ()
    idle: tuple[ExpectedChange, ...] = ()


class ComparisonDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON document; ``gate`` is null without a gate."""

    schema_version: int = COMPARISON_VERSION
    tool: Tool
    comparison: Comparison
    gate: GateResult | None = None
