"""One report: a run of the matrix, complete."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import CellResult

SCHEMA_VERSION = 1


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


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter is, as measured.

    ``packages`` are distribution versions from metadata. ``blas`` and ``openmp`` are read from
    the files that the packages carry, without importing them.
    """

    name: str
    executable: str
    version: str
    implementation: str
    build: str
    distribution: str
    free_threaded: bool
    packages: dict[str, str]
    blas: Known[tuple[str, ...]] | Unknown
    openmp: Known[tuple[str, ...]] | Unknown


class InterpreterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter of this run; unknown: it did not answer, and why."""

    name: str
    executable: str
    fingerprint: Known[Fingerprint] | Unknown


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts by verdict of the matrix cells, and whether the controls came out right."""

    cells: int
    verdicts: dict[str, int]
    unexpected: int
    controls: int
    controls_failed: tuple[str, ...]
    complete: bool  # false: the run was interrupted, some cells have no result
    controls_missing: tuple[str, ...] = ()  # planned, but without a result


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run. Cells are sorted by id."""

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

    @property
    def valid(self) -> bool:
        """A run whose controls fail proves nothing; nor does one without controls."""
        failed = self.summary.controls_failed or self.summary.controls_missing
        return bool(self.controls) and not failed
