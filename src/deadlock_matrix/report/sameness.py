"""Whether running a cell again would be the same experiment as one whose result is stored.

These decide, and nothing else:

- the version of this tool;
- the system and the machine's architecture, not the kernel's version or the number of cores;
- what the interpreter is (`report.identity`): its version, build and distribution, each installed
  package with its version, each native library, and the variables that belong to it;
- the content of the code under test (`matrix.contents`);
- the statement, how it is called, standard input, prelude, the deadline and the watched modules;
- the variables of the environment that are recorded, and those that the profile removes.

Names do not decide, nor do paths, nor what a cell is expected to do. A value that is unknown on
either side, or was hidden because it looked secret, equals nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host, Tool
from deadlock_matrix.report.identity import identify
from deadlock_matrix.report.redaction import HIDDEN


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how a cell comes out besides the cell's definition.

    ``environment`` are the recorded variables, redacted as in a report. ``content`` is empty if
    unknown.
    """

    tool: Tool
    host: Host
    facts: InterpreterFacts | None
    content: str
    environment: Mapping[str, str]


def circumstances_of(
    result: CellResult,
    tool: Tool,
    host: Host,
    facts: Mapping[str, InterpreterFacts],
) -> Circumstances:
    """Return those of a stored result, from the head of its run."""
    seen = result.observation
    return Circumstances(
        tool=tool,
        host=host,
        facts=facts.get(result.cell.interpreter.name),
        content=result.content,
        environment=seen.value.environment if isinstance(seen, Known) else {},
    )


def differences(
    stored: CellResult, then: Circumstances, cell: Cell, now: Circumstances
) -> tuple[str, ...]:
    """Name what keeps a stored result from being that of ``cell`` too; empty if it is the same.

    Args:
        stored: The result.
        then: The circumstances in which it was found.
        cell: The cell to run, redacted as in a report.
        now: The circumstances in which it would run.
    """
    if stored.seen is None:
        return ("it was not run",)
    unknown = []
    if not (_known_interpreter(then.facts) and _known_interpreter(now.facts)):
        unknown.append("interpreter")
    if not (then.content and now.content):
        unknown.append("content")
    before, after = _traits(stored.cell, then), _traits(cell, now)
    found = [name for name in before if before[name] != after[name] and name not in unknown]
    if _hides(stored.cell, then) or _hides(cell, now):
        unknown.append("hidden variables")
    return (*found, *(f"{name} (unknown)" for name in unknown))


def _traits(cell: Cell, around: Circumstances) -> dict[str, object]:
    context = cell.context
    return {
        "tool": around.tool.version,
        "system": (around.host.system, around.host.machine),
        "interpreter": identify(around.facts),
        "content": around.content,
        "target": cell.target,
        "role": cell.role,
        "statement": cell.entry.statement,
        "calling": context.calling,
        "standard input": context.stdin,
        "prelude": context.prelude,
        "deadline": cell.deadline_s,
        "watched modules": cell.watch_modules,
        "variables": (cell.profile.set, cell.interpreter.set, dict(around.environment)),
        "removed variables": frozenset(cell.profile.unset),
    }


def _known_interpreter(facts: InterpreterFacts | None) -> bool:
    return facts is not None and isinstance(facts.fingerprint, Known)


def _hides(cell: Cell, around: Circumstances) -> bool:
    texts = (*cell.profile.set.values(), *cell.interpreter.set.values())
    return any(HIDDEN in text for text in (*texts, *around.environment.values()))
