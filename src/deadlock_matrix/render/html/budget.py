"""Which cells' evidence goes into a page: the worst first, until there is no room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from deadlock_matrix.diagnosis.grouping import by_severity
from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.fact import Aside, Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.render.html.document import Hung
from deadlock_matrix.render.html.hung import hung
from deadlock_matrix.render.html.pool import Pools

EVIDENCE_BYTES = 3_000_000
"""What the evidence of all cells may take of a page, as JSON."""

_NAMED = 20


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence by the cells' ids, and the ids of cells that have more than is shown."""

    shown: dict[str, Hung] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    left_out: frozenset[str] = frozenset()


def keep(results: Iterable[CellResult], pools: Pools, limit: int = EVIDENCE_BYTES) -> Kept:
    """The evidence of the worst cells, as much as fits into ``limit`` bytes; at 0, of none."""
    shown: dict[str, Hung] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    left_out: list[str] = []
    used = 0
    for result in by_severity(results):
        evidence = result.evidence
        if evidence is None and not _lies_aside(result):
            continue
        if evidence is None or used >= limit:
            left_out.append(result.cell.id)
            continue
        found = hung(result, evidence, pools)
        used += len(msgspec.json.encode(found))
        if used > limit:
            left_out.append(result.cell.id)
            continue
        shown[result.cell.id] = found
        libraries[result.cell.id] = tuple(sorted(evidence.after.libraries()))
    return Kept(shown=shown, libraries=libraries, left_out=frozenset(left_out))


def _lies_aside(result: CellResult) -> bool:
    seen = result.observation
    return isinstance(seen, Known) and isinstance(seen.value.evidence, Aside)


def left_out_note(ids: Sequence[str]) -> str:
    """A sentence on what is not in the page."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return (
        f"the evidence of {count(len(ids), 'cell')} is not in this page, but in the report: "
        f"{', '.join(ids[:_NAMED])}{more}"
    )
