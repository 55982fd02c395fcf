"""One step for every later schema version; version 3 is the first.

Steps work on plain JSON: the types know only the newest version. They do not check what they are
given, which the types do at the end; what they do not understand they leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Migration = Callable[[dict[str, Any]], dict[str, Any]]

FIRST_VERSION = 3


def _time_of_chains(report: dict[str, Any]) -> dict[str, Any]:
    """Move the time of import: each step of a chain had that of the chain's last module."""
    for result in (*_list(report, "cells"), *_list(report, "controls")):
        facts: Any = result
        for name in ("observation", "value", "probe", "value"):
            facts = facts.get(name) if isinstance(facts, dict) else None
        chains = facts.get("chains") if isinstance(facts, dict) else None
        if isinstance(chains, dict):
            facts["imported_s"] = {
                name: last["at_s"]
                for name, steps in chains.items()
                if (last := _last(steps)) is not None and "at_s" in last
            }
    return {**report, "schema_version": 4}


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _last(steps: object) -> dict[str, Any] | None:
    last = steps[-1] if isinstance(steps, list) and steps else None
    return last if isinstance(last, dict) else None


MIGRATIONS: dict[int, Migration] = {3: _time_of_chains}
"""Schema version -> the step from it to the next one.

A side file has the schema version of the tool that wrote it, and is migrated by itself, see
`EVIDENCE_MIGRATIONS`: a step that changes evidence must be written for both.
"""

EVIDENCE_MIGRATIONS: dict[int, Migration] = {}
"""Schema version -> the step for evidence alone; without one, evidence stayed as it was."""
