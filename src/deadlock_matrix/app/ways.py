"""Other ways to run a target that may make it hang: profiles, and interpreters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from deadlock_matrix.app.carrying import Carried
from deadlock_matrix.app.known import is_pool
from deadlock_matrix.app.mentions import mentioned
from deadlock_matrix.diagnosis.investigation.clues import loaded_libraries
from deadlock_matrix.diagnosis.investigation.fitting import (
    LAZY_IMPORTS,
    LAZY_SINCE,
    names_in,
    with_variables_of,
)
from deadlock_matrix.diagnosis.investigation.remedies import cell_of
from deadlock_matrix.diagnosis.investigation.statements import text_of
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.diagnosis import Target
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.statement import imported_package


def further_ways(
    target: Target, first: CellResult, carried: Carried, fingerprint: Fingerprint | None
) -> list[Cell]:
    """Return the target under each profile whose variables the package or its libraries mention.

    And with each further interpreter.

    Args:
        target: The target, which did not hang as it is.
        first: A run of it that ended.
        carried: The user's own files.
        fingerprint: The interpreter's, if known.
    """
    cell = cell_of(target, target.contexts[0])
    names = names_in(target.other_profiles)
    own = [text_of(target), *(source.text for source in carried.sources)]
    pools = list(filter(is_pool, loaded_libraries(first)))
    found = mentioned(names, own, _installed(target, fingerprint), pools)
    profiles = [*with_variables_of(target.other_profiles, found)]
    if fingerprint is not None and _version(fingerprint) >= LAZY_SINCE:
        profiles.append(LAZY_IMPORTS)
    return [
        *(replace(cell, profile=profile) for profile in profiles),
        *(replace(cell, interpreter=each) for each in target.other_interpreters),
    ]


def _installed(target: Target, fingerprint: Fingerprint | None) -> Sequence[str]:
    """Return a file of the package, if it is installed: all of the package is then searched."""
    package = imported_package(text_of(target))
    if fingerprint is None or not package:
        return ()
    prefix = Path(fingerprint.executable).parent.parent
    found = prefix.glob(f"lib*/python*/*-packages/{package}/__init__.py")
    return [str(path) for path in found]


def _version(fingerprint: Fingerprint) -> tuple[int, ...]:
    return tuple(int(each) for each in fingerprint.version.split(".")[:2] if each.isdigit())
