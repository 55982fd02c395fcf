"""Shards of one matrix: whether all are there, and how long their cells take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from deadlock_matrix.model.report import Part, Report
from deadlock_matrix.report.points import point_id


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing of one matrix: how many cells, and a sentence about them."""

    cells: int
    sentence: str


def lacking_shards(parts: Iterable[Part]) -> tuple[Lacking, ...]:
    """Return what is missing of the matrices whose shards ``parts`` are; empty if nothing.

    Shards belong together if they divide the same cells in the same way, on the same system and
    kind of machine. If a matrix was run several times, each shard must be there as often as the
    others.
    """
    matrices: dict[tuple[str, str, str], list[Part]] = defaultdict(list)
    for part in parts:
        if part.shard is not None:
            key = part.shard.partition, part.host.system, part.host.machine
            matrices[key].append(part)
    return tuple(found for members in matrices.values() if (found := _lacking(members)) is not None)


def _lacking(members: Sequence[Part]) -> Lacking | None:
    shards = [part.shard for part in members if part.shard is not None]
    counts = Counter(shard.number for shard in shards)
    times = max(counts.values())
    missing = [number for number in range(1, shards[0].of + 1) if counts[number] < times]
    cells = times * shards[0].cells - sum(part.planned for part in members)
    if missing:
        named = ", ".join(map(str, missing[:20])) + (" ..." if len(missing) > 20 else "")
        what = f"shard {named} is" if len(missing) == 1 else f"shards {named} are"
        sentence = f"{what} missing of {shards[0].of}, with {max(cells, 0)} cells"
    elif cells > 0:
        sentence = f"all {shards[0].of} shards are there, but {cells} of their cells are missing"
    else:
        return None
    return Lacking(cells=max(cells, 0), sentence=sentence)


def expected_times(earlier: Report, ids: Iterable[str]) -> dict[str, float]:
    """Return seconds that cells took in an earlier report; a repeat takes as long as its point.

    If the report lacks the interpreter, its other interpreters tell. Cells known to neither are
    left out.
    """
    exact: dict[str, list[float]] = defaultdict(list)
    elsewhere: dict[str, list[float]] = defaultdict(list)
    for result in earlier.cells:
        if result.seen is not None:
            point = point_id(result.cell)
            seconds = result.seen.duration_s
            exact[point].append(seconds)
            elsewhere[point.partition("/")[2]].append(seconds)
    found = {}
    for id_ in ids:
        point = id_.partition("/#")[0]
        known = exact.get(point) or elsewhere.get(point.partition("/")[2])
        if known:
            found[id_] = median(known)
    return found
