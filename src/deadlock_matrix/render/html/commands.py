"""The command line that runs one cell again."""

from __future__ import annotations

import shlex

import msgspec

from deadlock_matrix.diagnosis.text import one_line, printable
from deadlock_matrix.model.cell import Axis, Cell, Interpreter
from deadlock_matrix.render.html.document import Choice

INTERPRETERS_FILE = "interpreters.json"


def choice(cell: Cell, axis: Axis) -> Choice:
    """Return the value that a cell has on an axis, with the option that chooses it."""
    value = getattr(cell, axis)
    if isinstance(value, Interpreter):
        return _interpreter(value)
    name = one_line(value.name)
    return Choice(name=name, option=f"--{axis} {shlex.quote(name)}", facts=_facts(cell, axis))


def _interpreter(interpreter: Interpreter) -> Choice:
    name = one_line(interpreter.name)
    facts = [("executable", one_line(interpreter.executable))]
    facts += [("sets", one_line(f"{key}={value}")) for key, value in interpreter.set.items()]
    if not interpreter.set:
        option = f"--interpreter {shlex.quote(f'{name}={one_line(interpreter.executable)}')}"
        return Choice(name=name, option=option, facts=tuple(facts))
    # Only a file can say which variables belong to an interpreter.
    content = {
        "name": interpreter.name,
        "executable": interpreter.executable,
        "set": interpreter.set,
    }
    return Choice(
        name=name,
        option=f"--interpreters-file {INTERPRETERS_FILE} --interpreter {shlex.quote(name)}",
        facts=tuple(facts),
        file=msgspec.json.encode([content]).decode(),
    )


def _facts(cell: Cell, axis: Axis) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    match axis:
        case "profile":
            sets = ", ".join(f"{key}={value}" for key, value in cell.profile.set.items())
            facts = [("sets", sets), ("takes away", ", ".join(cell.profile.unset))]
        case "entry":
            facts = [("executes", cell.entry.statement)]
        case "context":
            facts = [
                ("called from", cell.context.calling.value),
                ("standard input", cell.context.stdin.value),
                ("first", cell.context.prelude),
            ]
        case _:
            facts = []
    value = getattr(cell, axis)
    facts.append(("is", value.summary))
    return tuple((label, printable(text)) for label, text in facts if text)
