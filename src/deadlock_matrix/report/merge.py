"""Put several reports together: shards of a matrix, and the same matrix on several platforms.

The result depends on the runs alone: not on the order in which they are named, nor on whether some
of them were merged before. So a merged report is taken apart first, and each interpreter gets a new
name and each repeat a new number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Part, Report, Summary, Tool
from deadlock_matrix.report.merge_notes import contradictions, own_notes, renamings
from deadlock_matrix.report.names import Names, name_interpreters
from deadlock_matrix.report.parts import in_order, rename, renumber, take_apart
from deadlock_matrix.report.shards import lacking_shards
from deadlock_matrix.report.summary import end_of_all, summarise

Results = tuple[CellResult, ...]


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the merged report.

    ``ids`` maps the id of a control, or of a result that could not be written, to the new one.
    """

    part: Part
    cells: Results
    controls: Results
    ids: dict[str, str]


def merge(reports: Iterable[Report], tool: Tool) -> Report:
    """Put reports together; a run that is in several of them counts once.

    A cell that several runs have is kept from each, as repeats. An interpreter's name that means
    different things in different runs becomes several names.

    Args:
        reports: At least one; merged reports too.
        tool: The tool that writes the merged report.

    Raises:
        ReportError: No report is given, or two differ that claim to be the same run.
    """
    runs = _runs(part for report in reports for part in take_apart(report))
    names = name_interpreters(runs)
    repeats = _number(runs, names)
    placed = [_place(run, names, own) for run, own in zip(runs, repeats, strict=True)]
    cells = in_order(each for run in placed for each in run.cells)
    controls = in_order(each for run in placed for each in run.controls)
    parts = tuple(run.part for run in placed)
    lacking = lacking_shards(parts)
    summary = _summarise(placed, names, cells, controls)
    if lacking:
        summary = msgspec.structs.replace(summary, complete=False)
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=tool,
        host=runs[0].host,
        run=_merged_name(runs),
        started=runs[0].started,
        duration_s=sum(run.duration_s for run in runs),
        arguments=(),
        interpreters=tuple(rename(facts, name) for name, facts in sorted(names.facts.items())),
        cells=cells,
        controls=controls,
        planned=sum(run.planned for run in runs) + sum(each.cells for each in lacking),
        summary=summary,
        notes=(
            *(each.sentence for each in lacking),
            *renamings(names),
            *contradictions(parts, cells),
            *own_notes(parts),
        ),
        merged=parts,
        machines={name: host for run in runs for name, host in run.machines.items()},
    )


def _runs(parts: Iterable[Report]) -> list[Report]:
    """Return each run once, ordered by its start."""
    runs: dict[str, Report] = {}
    for part in parts:
        other = runs.setdefault(part.run, part)
        if other is part:
            continue
        if _evidence(part) > _evidence(other):
            runs[part.run] = part
        if _outcomes(other) != _outcomes(part):
            raise ReportError(
                f"two of the reports say that they are run {part.run}, but have different results; "
                "name only the complete one"
            )
    if not runs:
        raise ReportError("there is nothing to merge: name at least one report")
    return sorted(runs.values(), key=lambda run: (run.started, run.run))


def _outcomes(run: Report) -> list[tuple[str, str, str]]:
    """Return what distinguishes two reports of one run; a copy may lack the evidence."""
    results = in_order((*run.cells, *run.controls))
    return [(each.cell.id, each.verdict.value, each.why) for each in results]


def _evidence(run: Report) -> int:
    """Return how many results have evidence that can be judged again."""
    return sum(each.evidence is not None for each in (*run.cells, *run.controls))


def _number(runs: Sequence[Report], names: Names) -> list[list[int]]:
    """Return, for each run, the number each cell and control gets as a repeat when merged.

    If only one run has a cell, its numbers stay; else they count through all runs.
    """
    points: dict[str, list[tuple[int, int, int]]] = {}  # run, number of the repeat, place in it
    numbers: list[list[int]] = []
    for order, run in enumerate(runs):
        results = (*run.cells, *run.controls)
        numbers.append([result.cell.repeat for result in results])
        for place, result in enumerate(results):
            name = names.of(run.run, result.cell.interpreter.name)
            point = renumber(result, name, 1).cell.id
            points.setdefault(point, []).append((order, result.cell.repeat, place))
    for members in points.values():
        if len({order for order, _, _ in members}) > 1:
            for number, (order, _, place) in enumerate(sorted(members), start=1):
                numbers[order][place] = number
    return numbers


def _place(run: Report, names: Names, repeats: Sequence[int]) -> _Placed:
    """Return what a run becomes in the merged report."""
    ids: dict[str, str] = {}
    numbers: dict[str, int] = {}
    unwritten = run.summary.unwritten
    found = []
    for result, repeat in zip((*run.cells, *run.controls), repeats, strict=True):
        new = renumber(result, names.of(run.run, result.cell.interpreter.name), repeat)
        id_ = new.cell.id
        numbers[id_] = result.cell.repeat
        if result.cell.role is not Role.MATRIX or (unwritten and result.cell.id in unwritten):
            ids[result.cell.id] = id_
        found.append(new)
    cells, controls = tuple(found[: len(run.cells)]), tuple(found[len(run.cells) :])
    part = Part(
        run=run.run,
        started=run.started,
        duration_s=run.duration_s,
        tool=run.tool,
        host=run.host,
        arguments=run.arguments,
        planned=run.planned,
        summary=run.summary,
        notes=run.notes,
        interpreters=names.in_run(run.run),
        repeats=numbers,
        shard=run.shard,
        machines=run.machines,
    )
    return _Placed(part=part, cells=cells, controls=controls, ids=ids)


def _summarise(
    placed: Sequence[_Placed], names: Names, cells: Results, controls: Results
) -> Summary:
    """Count again; whether a control failed was decided in its run, beside that run's cells."""
    failed: list[str] = []
    missing: set[str] = set()
    unwritten: dict[str, str] = {}
    for run in placed:
        own = run.part.summary
        failed += [run.ids.get(id_, id_) for id_ in own.controls_failed]
        missing.update(names.in_id(run.part.run, id_) for id_ in own.controls_missing)
        unwritten |= {run.ids.get(id_, id_): why for id_, why in own.unwritten.items()}
        # One run's controls say nothing about what another run did elsewhere, or on another day.
        if run.cells and not run.controls and not own.controls_missing:
            missing.add(f"all controls of run {run.part.run}")
    return msgspec.structs.replace(
        summarise(cells, controls, ()),
        controls_failed=tuple(sorted(failed)),
        controls_missing=tuple(sorted(missing)),
        complete=all(run.part.summary.complete for run in placed),
        ended=end_of_all(run.part.summary for run in placed),
        unwritten=unwritten,
    )


def _merged_name(runs: Sequence[Report]) -> str:
    """Return a name that is the same for the same runs, and differs for others."""
    digest = hashlib.sha256("\n".join(run.run for run in runs).encode()).hexdigest()
    return f"merged-{digest[:8]}"
