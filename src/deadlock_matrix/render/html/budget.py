"""Whose evidence goes into a page: that of the worst cells first, until there is no room."""

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
"""How many bytes of a page the evidence of all cells may take, as JSON."""

_NAMED = 20


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence by cell id, and the ids of cells that have more than is shown."""

    shown: dict[str, Hung] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    left_out: frozenset[str] = frozenset()


def keep(results: Iterable[CellResult], pools: Pools, limit: int = EVIDENCE_BYTES) -> Kept:
    """Keep the evidence of the worst cells, up to ``limit`` bytes; with 0, none."""
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
    """Return a sentence on what the page leaves out."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return (
        f"the evidence of {count(len(ids), 'cell')} is not in this page, but in the report: "
        f"{', '.join(ids[:_NAMED])}{more}"
    )
