"""What a failing import test says: what happened, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

import msgspec

from deadlock_matrix.causes import load_causes
from deadlock_matrix.diagnosis.recognition.recognise import NO_FINGERPRINT, recognise
from deadlock_matrix.diagnosis.text import count, one_line, seconds
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.observation import CellResult, ImportStep, ProbeFacts
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.failure import failure

_LARGEST = 5
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_WORDS = {
    Verdict.DEADLOCK: "deadlocks (proved)",
    Verdict.HANG: "hangs",
    Verdict.SLOW: "is too slow",
    Verdict.ERROR: "fails",
    Verdict.CRASH: "crashes",
    Verdict.UNAVAILABLE: "could not be run",
}


class Importer(msgspec.Struct, frozen=True, kw_only=True):
    """Who imports a module: the steps from the statement to it, and the project's folder."""

    chain: tuple[ImportStep, ...]
    root: Path


def not_ok(result: CellResult) -> str:
    """Describe an import that did not end well: proof or reason, stacks, and a known cause."""
    causes = recognise(result, NO_FINGERPRINT, load_causes())
    _, *rest = failure(result, causes).splitlines()
    verdict = _WORDS.get(result.verdict, result.verdict.value)
    return "\n".join([f"{_what(result)} {verdict}", *rest])


def too_long(result: CellResult, took_s: float, allowed_s: float, facts: ProbeFacts) -> str:
    """Describe an import that took longer than it may; the largest packages are where to look."""
    largest = sorted(facts.top_levels.items(), key=lambda item: -item[1])[:_LARGEST]
    told = ", ".join(f"{one_line(name)} ({count(number, 'module')})" for name, number in largest)
    return "\n".join(
        [
            f"{_what(result)} took {seconds(took_s)}; {seconds(allowed_s)} are allowed",
            f"it loaded most modules from: {told}" if told else "it loaded no module",
        ]
    )


def imported(result: CellResult, found: Mapping[str, Importer]) -> str:
    """Describe an import that loads what it must not: by which line of which file."""
    return "\n".join(_imported(result, found))


def _imported(result: CellResult, found: Mapping[str, Importer]) -> Iterator[str]:
    for name, importer in found.items():
        yield f"{_what(result)} imports {one_line(name)}, which it must not"
        if not importer.chain:
            yield (
                "  which module imports it is not known: it was not imported by an import statement"
            )
            continue
        yield f"  {_chain(importer)}"
        if own := _last_own(importer):
            where = _place(own, importer.root)
            yield (
                f"  to change: {where} imports {one_line(own.module)}; "
                "import it inside the function that needs it"
            )


def _what(result: CellResult) -> str:
    cell = result.cell
    statement = " ; ".join(cell.entry.statement.strip().splitlines())
    calling = cell.context.calling
    where = "" if calling is Calling.MAIN else f" called from {cell.context.name}"
    return one_line(f"{statement}{where}")


def _chain(importer: Importer) -> str:
    """Return ``mypackage/__init__.py:3 -> mypackage.models (mypackage/models.py:1) -> heavy``."""
    steps = importer.chain
    first, *rest = steps if len(steps) == 1 or not _is_entry(steps[0]) else steps[1:]
    text = f"{_place(first, importer.root)} -> {first.module}"
    for step in rest:
        text += f" ({_place(step, importer.root)}) -> {step.module}"
    return one_line(text)


def _place(step: ImportStep, root: Path) -> str:
    path = PurePath(step.file)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown.as_posix()}:{step.line}"


def _last_own(importer: Importer) -> ImportStep | None:
    """Return the last step in the project's own code, rather than in what is installed."""
    own = [
        step
        for step in importer.chain
        if PurePath(step.file).is_relative_to(importer.root)
        and not _INSTALLED & set(PurePath(step.file).parts)
    ]
    return own[-1] if own else None


def _is_entry(step: ImportStep) -> bool:
    return step.file.startswith("<")
