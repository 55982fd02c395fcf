"""A report as a file: written whole, read with one clear error, put together from a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import NamedTuple

import msgspec

from deadlock_matrix import __version__
from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunEnd
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report.decoding import DAMAGE, collector_off, decode, explain, one_line
from deadlock_matrix.report.files import open_bounded, write_atomically
from deadlock_matrix.report.journal import Unwritten, read_journals
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.migrations import MIGRATIONS, Migration
from deadlock_matrix.report.pieces import take_apart
from deadlock_matrix.report.plan import PLAN_FILE, REPORT_FILE, read_plan, session_s
from deadlock_matrix.report.sharing import SharingDecoder
from deadlock_matrix.report.shelf import Shelf, text_of
from deadlock_matrix.report.side_files import SideFiles
from deadlock_matrix.report.summary import NO_END, summarise

MAX_REPORT_BYTES = 1 << 34
MAX_WHOLE_BYTES = 1 << 30
"""Of a report that cannot be read piece by piece: one of an older version, or a damaged one."""


class _WrittenBy(msgspec.Struct):
    version: str = "unknown"


class _Head(msgspec.Struct):
    schema_version: int
    tool: _WrittenBy = msgspec.field(default_factory=_WrittenBy)


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json`` into ``folder``, atomically; the same report gives the same bytes.

    Its evidence goes into separate files first, see `SideFiles`. Evidence that the report only
    refers to must be in ``folder`` already.

    Returns:
        The path of the file.

    Raises:
        ReportError: The folder or a file cannot be written.
    """
    path = folder / REPORT_FILE
    side_files = SideFiles(folder)
    try:
        write_atomically(path, _lines(report, side_files))
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise ReportError(f"{path}: the report holds what JSON cannot: {error}") from error
    return path


def _lines(report: Report, side_files: SideFiles) -> Iterator[bytes]:
    """Yield the report as JSON, a line for each value, one result after another."""
    around = msgspec.structs.replace(report, cells=(), controls=())
    data = encode(around, indent=1, order="deterministic")
    # A line that begins with one space belongs to the report itself, whatever its texts contain.
    head, rest = data.split(b'\n "cells": []', 1)
    between, tail = rest.split(b'\n "controls": []', 1)
    yield head + b'\n "cells": '
    yield from _list(map(side_files.put, report.cells))
    yield between + b'\n "controls": '
    yield from _list(map(side_files.put, report.controls))
    yield tail + b"\n"


def _list(results: Iterable[CellResult]) -> Iterator[bytes]:
    begin = b"["
    for result in results:
        yield begin + b"\n  " + text_of(result)
        begin = b","
    yield b"[]" if begin == b"[" else b"\n ]"


def read_report(path: Path, limit: int = MAX_REPORT_BYTES, *, evidence: bool = True) -> Report:
    """Read a report, or the report in a run's folder; older schema versions are migrated.

    Args:
        path: The file or the folder.
        limit: The most bytes that the file may have.
        evidence: Also read the evidence in files beside the report. What is missing or damaged
            there stays unknown, with the reason; a report without its folder still opens.

    Raises:
        ReportError: It is missing, too large, truncated, not a report, or from a newer version.
    """
    loaded = load(path, limit)
    return fetch_evidence(loaded.report, loaded.path.parent) if evidence else loaded.report


class Loaded(NamedTuple):
    """A report without its evidence, where it was read, and the version in the file."""

    report: Report
    path: Path
    schema_version: int


def load(path: Path, limit: int = MAX_REPORT_BYTES, *, shelve: bool = False) -> Loaded:
    """Do as `read_report`, for callers who need to know what the file says before migration.

    Args:
        path: The file or the folder.
        limit: The most bytes that the file may have.
        shelve: Leave in the file what is needed only to write the results again, see `shelf`.
    """
    if path.is_dir():
        path = _in_folder(path)
    with open_bounded(path, limit) as file:
        shelf = None
        if shelve and not isinstance(file, BytesIO):  # a pipe can be read only once
            shelf = Shelf(file.fileno(), str(path))
        report, version = _read(file, str(path), MIGRATIONS, shelf)
    return Loaded(report, path, version)


def fetch_evidence(report: Report, folder: Path) -> Report:
    """Return the report with the evidence that it refers to, read from the files in ``folder``."""
    side_files = SideFiles(folder)
    with collector_off():
        return msgspec.structs.replace(
            report,
            cells=tuple(map(side_files.fetch, report.cells)),
            controls=tuple(map(side_files.fetch, report.controls)),
        )


def decode_report(
    data: bytes, origin: str, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Report:
    """Decode a report of any known schema version; ``origin`` names it in errors.

    Raises:
        ReportError: As for `read_report`.
    """
    return _read(BytesIO(data), origin, migrations)[0]


def _read(
    file: BufferedIOBase,
    origin: str,
    migrations: Mapping[int, Migration],
    shelf: Shelf | None = None,
) -> tuple[Report, int]:
    with suppress(*DAMAGE):  # nearly always it is of this version, and looking first costs time
        report = _decode_pieces(file, shelf)
        if report.schema_version == SCHEMA_VERSION:
            return report, SCHEMA_VERSION
    file.seek(0)
    data = file.read(MAX_WHOLE_BYTES + 1)
    if len(data) > MAX_WHOLE_BYTES:
        raise ReportError(
            f"{origin} is damaged, or of another version, and larger than "
            f"{MAX_WHOLE_BYTES >> 20} MiB: it cannot be read"
        )
    return _decode_whole(data, origin, migrations)


def _decode_pieces(file: BufferedIOBase, shelf: Shelf | None = None) -> Report:
    """Decode a report of this version; what its results have in common is in memory once.

    Raises:
        DAMAGE: It is not one; the message is not about the file as a whole.
    """
    with collector_off():
        decode_list = SharingDecoder(CellResult).decode_list
        around, lists = take_apart(file, decode_list, shelf.put if shelf is not None else None)
        report = msgspec.json.decode(around, type=Report)
        results: dict[str, Sequence[CellResult]] = {}
        for name in list(lists):
            results[name] = tuple(lists.pop(name))
    return msgspec.structs.replace(report, **results)


def _decode_whole(
    data: bytes, origin: str, migrations: Mapping[int, Migration]
) -> tuple[Report, int]:
    try:
        head = msgspec.json.decode(data, type=_Head)
        _refuse_foreign_version(head, origin, migrations)
        if head.schema_version == SCHEMA_VERSION:
            return decode(data, Report), SCHEMA_VERSION  # says what is wrong with it
        document = msgspec.json.decode(data)
        for version in range(head.schema_version, SCHEMA_VERSION):
            document = migrations[version](document)
        return msgspec.convert(document, Report), head.schema_version
    except DAMAGE as error:
        raise ReportError(f"{origin} {explain(error, data, 'report')}") from error


def assemble(
    folder: Path,
    duration_s: float | None = None,
    *,
    evidence: bool = True,
    ended: Known[RunEnd] | Unknown = NO_END,
    unwritten: Iterable[Unwritten] = (),
) -> Report:
    """Put the report of a run together from its plan and its journals.

    Works at any time: for a run that is over, one that was killed, and one that is still running.

    Args:
        folder: The run's folder.
        duration_s: How long its last session took; by default, until its last journal entry.
        evidence: Also read the evidence to which the journals refer.
        ended: What ended the run, if that is known.
        unwritten: Results that could not be written, or not with their evidence.

    Raises:
        ReportError: There is no plan, or plan or journals cannot be read.
    """
    plan = read_plan(folder)
    planned_cells, planned_controls = plan.planned_cells(), plan.planned_controls()
    plan = msgspec.structs.replace(plan, cells=(), controls=())  # results have cells of their own
    contents = read_journals(folder)
    rest: list[CellResult] = []
    lost = {each.result.cell.id: each for each in unwritten}
    if lost:  # some are there perhaps, without their evidence
        done = {result.cell.id for result in contents.results}
        rest = [each.result for id_, each in lost.items() if id_ not in done]
    results = (*contents.results, *rest)
    cells = [result for result in results if result.cell.role is Role.MATRIX]
    controls = [result for result in results if result.cell.role is not Role.MATRIX]
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=plan.tool,
        host=plan.host,
        run=plan.run,
        started=plan.started,
        duration_s=plan.spent_s + (session_s(folder) if duration_s is None else duration_s),
        arguments=plan.arguments,
        interpreters=tuple(sorted(plan.interpreters, key=lambda facts: facts.name)),
        cells=_sorted(cells),
        controls=_sorted(controls),
        planned=len(planned_cells),
        summary=summarise(
            cells,
            controls,
            planned_cells,
            planned_controls,
            ended=ended,
            unwritten={id_: each.reason for id_, each in lost.items()},
        ),
        shard=plan.shard,
        machines=plan.machines,
        notes=(*plan.notes, *contents.damaged, *_origins(results)),
    )
    return fetch_evidence(report, folder) if evidence else report


def _origins(results: Iterable[CellResult]) -> Iterator[str]:
    """Yield the origins of results that this run did not find itself."""
    counts = Counter(result.taken_from for result in results if result.taken_from)
    for run, number in sorted(counts.items()):
        yield (
            f"{number} of the results are taken from run {run}: nothing that decides them has "
            "changed"
        )


def _sorted(results: Iterable[CellResult]) -> tuple[CellResult, ...]:
    return tuple(sorted(results, key=lambda result: result.cell.id))


def _in_folder(folder: Path) -> Path:
    path = folder / REPORT_FILE
    if not path.exists() and (folder / PLAN_FILE).exists():
        raise ReportError(
            f"{folder} has no {REPORT_FILE}: the run was killed or is still running; "
            "deadlock-matrix report merge makes it from the journals"
        )
    return path


def _refuse_foreign_version(head: _Head, origin: str, migrations: Mapping[int, Migration]) -> None:
    if head.schema_version > SCHEMA_VERSION:
        raise ReportError(
            f"{origin} has schema version {_number(head.schema_version)}, and this is "
            f"deadlock-matrix {__version__}, which reads up to {SCHEMA_VERSION}: deadlock-matrix "
            f"{one_line(head.tool.version, 40)} or later is needed"
        )
    known = range(min(migrations, default=SCHEMA_VERSION), SCHEMA_VERSION + 1)
    if head.schema_version not in known:
        raise ReportError(
            f"{origin} has schema version {_number(head.schema_version)}: there is no such version"
        )


def _number(version: int) -> str:
    return one_line(str(version), 20)
