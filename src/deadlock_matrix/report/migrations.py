"""One step for every schema version that came after another.

Steps work on plain JSON: the types know the newest version alone. They do not check what they are
given, the types do that at the end; what they do not understand they leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Migration = Callable[[dict[str, Any]], dict[str, Any]]


def name_libraries(report: dict[str, Any]) -> dict[str, Any]:
    """1 -> 2: what packages carry is a list of libraries; it was two lists of words."""
    for fingerprint in _fingerprints(report):
        words = [*_words(fingerprint.pop("blas", None)), *_words(fingerprint.pop("openmp", None))]
        said = f"; by the names of their files: {', '.join(words)}" if words else ""
        fingerprint["libraries"] = {
            "fact": "unknown",
            "reason": f"deadlock-matrix did not read libraries when this was recorded{said}",
        }
    return {**report, "schema_version": 2}


def allow_side_files(report: dict[str, Any]) -> dict[str, Any]:
    """2 -> 3: evidence may lie in files beside the report; before, all of it lay inside."""
    return {**report, "schema_version": 3}


MIGRATIONS: dict[int, Migration] = {1: name_libraries, 2: allow_side_files}
"""Schema version -> the step from it to the next one.

A side file has the schema version of whoever wrote it, and is migrated by itself, see
`EVIDENCE_MIGRATIONS`: a step that changes evidence must be written for both.
"""

FIRST_WITH_SIDE_FILES = 3
EVIDENCE_MIGRATIONS: dict[int, Migration] = {}
"""Schema version -> the step for a piece of evidence alone; none: it stayed as it was."""


def _fingerprints(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    interpreters = report.get("interpreters")
    for facts in interpreters if isinstance(interpreters, list) else ():
        fact = facts.get("fingerprint") if isinstance(facts, dict) else None
        value = fact.get("value") if isinstance(fact, dict) else None
        if isinstance(value, dict):
            yield value


def _words(fact: Any) -> list[str]:
    value = fact.get("value") if isinstance(fact, dict) else None
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
