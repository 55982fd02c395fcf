"""One report: a run of the matrix, complete."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunEnd, RunOutcome
from deadlock_matrix.model.verdict import Verdict

SCHEMA_VERSION = 4


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """What wrote the report."""

    name: str
    version: str
    python: str


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran. No host name, no user name."""

    system: str
    release: str
    machine: str
    cores: int
    memory_mib: Known[int] | Unknown


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts by verdict of the matrix cells, whether the controls came out right, and the end.

    ``unwritten`` maps the id of a result, or the name of a file, that could not be written into the
    run's folder, to the reason. Such a result is in the report without its evidence.
    """

    cells: int
    verdicts: dict[str, int]
    unexpected: int
    controls: int
    controls_failed: tuple[str, ...]
    complete: bool  # false: some cells or controls have no result
    controls_missing: tuple[str, ...] = ()  # planned, but without a result
    ended: Known[RunEnd] | Unknown = Unknown(reason="what ended it was not read by this version")
    unwritten: dict[str, str] = {}


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a whole matrix a run is.

    ``cells`` is how many the whole has; ``partition`` distinguishes wholes, and ways to divide one.
    """

    number: int  # counted from 1
    of: int
    cells: int
    partition: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs that were merged into a report: its own head, and what became of it.

    ``interpreters`` maps an interpreter's name in the run to its name in the merged report,
    ``repeats`` the id of a cell or control in the merged report to its number in the run. With
    these two a merged report can be taken apart again.
    """

    run: str
    started: str
    duration_s: float
    tool: Tool
    host: Host
    arguments: tuple[str, ...]
    planned: int
    summary: Summary
    notes: tuple[str, ...]
    interpreters: dict[str, str]
    repeats: dict[str, int]
    shard: Shard | None = None
    machines: dict[str, Host] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run, or several merged. Cells are sorted by id.

    In a merged report, ``merged`` has the runs by the time they started, ``host`` is that of the
    first of them, ``duration_s`` is what they took together.
    """

    schema_version: int
    tool: Tool
    host: Host
    run: str
    started: str  # RFC 3339, UTC
    duration_s: float
    arguments: tuple[str, ...]
    interpreters: tuple[InterpreterFacts, ...]
    cells: tuple[CellResult, ...]
    controls: tuple[CellResult, ...]
    planned: int  # matrix cells that were to be run
    summary: Summary
    notes: tuple[str, ...] = ()  # what went wrong with the run itself, one sentence each
    merged: tuple[Part, ...] = ()  # empty for a single run
    shard: Shard | None = None  # of one run; a merged report has those of its runs
    machines: dict[str, Host] = {}  # others than ``host`` that ran cells, by the names in results

    @property
    def fingerprints(self) -> dict[str, Known[Fingerprint] | Unknown]:
        """What each interpreter is, by its name."""
        return {each.name: each.fingerprint for each in self.interpreters}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Where it ran: one host, or each different one of a merged or a distributed report."""
        parts = self.merged or (self,)
        places = (tuple(part.machines.values()) or (part.host,) for part in parts)
        return tuple(dict.fromkeys(host for hosts in places for host in hosts))

    @property
    def controlled(self) -> bool:
        """Whether its results count: a run whose controls fail, or without any, proves nothing."""
        failed = self.summary.controls_failed or self.summary.controls_missing
        return bool(self.controls) and not failed

    @property
    def outcome(self) -> RunOutcome:
        """How the run came out, in one word. A report of merged runs is judged as a whole."""
        summary = self.summary
        if summary.unwritten:
            return RunOutcome.NOT_WRITTEN
        if self._ended(RunEnd.INTERRUPTED):
            return RunOutcome.INTERRUPTED
        if summary.controls_failed:
            return RunOutcome.CONTROLS_WRONG
        if not summary.complete or self._ended(RunEnd.BROKEN):
            return RunOutcome.INCOMPLETE
        if all(result.verdict is Verdict.UNAVAILABLE for result in self.cells):
            return RunOutcome.NOTHING_RAN
        if not self.controlled:
            return RunOutcome.CONTROLS_WRONG
        return RunOutcome.UNEXPECTED if summary.unexpected else RunOutcome.AS_EXPECTED

    def _ended(self, end: RunEnd) -> bool:
        ended = self.summary.ended
        return isinstance(ended, Known) and ended.value is end
