"""Says what has become of the recipes: ``python -m environments.collect RECIPE...``.

Runs in the harness' environment after nox has built what it could, holds each interpreter against
what its recipe promises, and writes the file for ``pytest --interpreters-file``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.model.cell import Interpreter
from environments.promises import find_broken
from environments.pythons import BIN
from environments.recipes import FOLDER, NOX, RECIPES, Recipe

REPORT = NOX / "environments.json"


def collect(recipe: Recipe, reasons: Mapping[str, str]) -> Interpreter:
    """The interpreter of a recipe, or why there is none, with the command that would make one.

    Args:
        recipe: Built by now, if it can be.
        reasons: What nox says of the sessions that did not build theirs.
    """
    found = _find(recipe) if recipe.backend == "found" else _built(recipe, reasons)
    if found.unavailable or not recipe.checked:
        return found
    facts = identify(found, cache_folder(), measure=True)
    broken = find_broken(recipe.promises, facts.fingerprint)
    if not broken:
        return found
    recipe.forget()  # it may have been damaged: the command that is told builds it again
    return _unavailable(recipe, "; ".join(broken))


def _built(recipe: Recipe, reasons: Mapping[str, str]) -> Interpreter:
    if record := recipe.built():
        return msgspec.convert(record, Interpreter)
    reason = recipe.refusal() or _reason(recipe.session, reasons)
    return _unavailable(recipe, reason or "it could not be built")


def _reason(session: str, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(session, "")
    before = re.fullmatch(r"Prerequisite session (\S+) was not successful", reason)
    return (before and _reason(before[1], reasons)) or reason


def _find(recipe: Recipe) -> Interpreter:
    made_here = BIN / f"python{recipe.python}"
    if made_here.exists():
        return Interpreter(name=recipe.name, executable=str(made_here))
    try:
        (found,) = resolve([recipe.python], load_configuration(None, FOLDER.parent))
    except DeadlockMatrixError:
        return _unavailable(recipe, f"there is no CPython {recipe.python} on this machine")
    return msgspec.structs.replace(found, name=recipe.name)


def _unavailable(recipe: Recipe, reason: str) -> Interpreter:
    return Interpreter(name=recipe.name, unavailable=f"{reason}; {recipe.command}")


def read_reasons(report: Path) -> dict[str, str]:
    """What nox' report says of each session that was skipped or that failed: name -> reason."""
    try:
        sessions: list[dict[str, Any]] = json.loads(report.read_bytes())["sessions"]
    except (OSError, ValueError, KeyError):
        return {}
    return {each["name"]: each.get("reason") or "" for each in sessions}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, and a line for each; 1 if one that was named is not there."""
    parser = argparse.ArgumentParser(prog="python -m environments.collect")
    parser.add_argument("recipes", nargs="+", choices=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--all-needed", action="store_true", help="fail if one is unavailable")
    parser.add_argument("--output", type=Path, default=NOX / "interpreters.json")
    options = parser.parse_args(arguments)
    reasons = read_reasons(REPORT)
    with ThreadPoolExecutor(max_workers=2) as pool:  # each keeps a process busy
        found = list(pool.map(lambda name: collect(RECIPES[name], reasons), options.recipes))
    for each in found:
        print(f"{each.name}: {each.executable or f'unavailable: {each.unavailable}'}")
    draft = options.output.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    draft.replace(options.output)
    return 1 if options.all_needed and any(each.unavailable for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
