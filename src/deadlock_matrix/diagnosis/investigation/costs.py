"""What an import costs, from runs that ended: seconds, modules, and who imports the heavy ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.diagnosis import HeavyImport, ImportCost
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import CellResult, ProbeFacts

MOST = 6
HEAVY_MODULES = 10


def cost_of(clean: Sequence[CellResult]) -> ImportCost | None:
    """Return the cost of an entry; ``None`` if no run of it reported its facts."""
    facts = [each.probe for each in clean if each.probe is not None]
    if not facts:
        return None
    last = facts[-1]  # by then it was known whose importers matter
    return ImportCost(
        seconds=median(each.entry_s for each in facts),
        runs=len(facts),
        modules=last.modules_after - last.modules_before,
        heavy=tuple(
            HeavyImport(name=name, modules=last.top_levels[name], imported_by=_importer(last, name))
            for name in heavy_packages(last)
        ),
    )


def heavy_packages(facts: ProbeFacts) -> tuple[str, ...]:
    """Return the packages of which the entry loaded the most modules, heaviest first."""
    heavy = [(count, name) for name, count in facts.top_levels.items() if count >= HEAVY_MODULES]
    return tuple(name for _, name in sorted(heavy, key=lambda each: (-each[0], each[1]))[:MOST])


def _importer(facts: ProbeFacts, name: str) -> Known[str] | Unknown:
    chain = facts.chains.get(name)
    if not chain:
        return unknown("nobody looked for it")
    step = chain[-1]
    where = base_name(step.file)
    return known(f"{step.importer} ({where}:{step.line})", "a finder in the probe")
