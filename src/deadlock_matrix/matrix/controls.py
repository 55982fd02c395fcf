"""Cells whose answer is known: a run in which one comes out otherwise proves nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deadlock_matrix.matrix.configuration import baseline
from deadlock_matrix.matrix.scenarios import Scenario, load_scenario
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile, Role
from deadlock_matrix.model.verdict import Verdict

POSITIVE = "thread-imports-same-package"
NEGATIVE = ("healthy-slow-import", "healthy-lock-held-by-sleeper")

_MARGIN_S = 20.0  # for a busy machine to start an interpreter and to find a proof
_CONTEXT = Context(name="main")


def controls(
    interpreters: Sequence[Interpreter], repro: Path, profile: Profile | None = None
) -> tuple[Cell, ...]:
    """One positive and two negative controls for each interpreter.

    Args:
        interpreters: Those of the run.
        repro: The folder that holds ``scenarios``.
        profile: What the controls run under; by default the built-in baseline.

    Raises:
        ConfigurationError: A scenario is missing or not correct.
    """
    profile = profile or baseline()
    positive = load_scenario(repro / "scenarios" / POSITIVE)
    negative = [load_scenario(repro / "scenarios" / name) for name in NEGATIVE]
    # Elsewhere than on Linux there may be no source for the facts that a proof needs.
    proved = (Verdict.DEADLOCK,) if sys.platform == "linux" else (Verdict.DEADLOCK, Verdict.HANG)
    return tuple(
        cell
        for interpreter in interpreters
        for cell in (
            _control(interpreter, profile, positive, Role.POSITIVE_CONTROL, proved),
            *(
                _control(interpreter, profile, each, Role.NEGATIVE_CONTROL, (Verdict.OK,))
                for each in negative
            ),
        )
    )


def _control(
    interpreter: Interpreter,
    profile: Profile,
    scenario: Scenario,
    role: Role,
    expect: tuple[Verdict, ...],
) -> Cell:
    return Cell(
        target="controls",
        interpreter=interpreter,
        profile=profile,
        layout=Layout(
            name=scenario.name,
            overlays=tuple(str(folder) for folder in scenario.folders),
            python=scenario.python,
            summary=scenario.title,
        ),
        entry=Entry(name="import", statement=scenario.statement),
        context=_CONTEXT,
        role=role,
        expect=expect,
        deadline_s=_MARGIN_S + 2 * scenario.lasts_s,
    )
