"""Cells whose answer is known: a run in which one comes out differently proves nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deadlock_matrix.decoding import read_toml
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile, Role
from deadlock_matrix.model.verdict import Verdict

POSITIVE = "thread-imports-same-package"
NEGATIVE = ("healthy-slow-import", "healthy-lock-held-by-sleeper")

_MARGIN_S = 20.0  # for a busy machine to start an interpreter and to find a proof
_CONTEXT = Context(name="main")


class _Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What a control needs from a ``scenario.toml``."""

    title: str
    statement: str
    python: str = ""
    lasts_s: float = 0.0


def controls(
    interpreters: Sequence[Interpreter], repro: Path, profile: Profile
) -> tuple[Cell, ...]:
    """Return one positive and two negative controls for each interpreter.

    Args:
        interpreters: Those of the run.
        repro: The folder that contains ``scenarios``.
        profile: The profile under which the controls run: the baseline.

    Raises:
        ConfigurationError: A scenario is missing or not correct.
    """
    scenarios = repro / "scenarios"
    # On systems other than Linux there may be no source for the facts that a proof needs.
    proved = (Verdict.DEADLOCK,) if sys.platform == "linux" else (Verdict.DEADLOCK, Verdict.HANG)
    healthy = (Verdict.OK,)
    return tuple(
        cell
        for interpreter in interpreters
        for cell in (
            _control(interpreter, profile, scenarios / POSITIVE, Role.POSITIVE_CONTROL, proved),
            *(
                _control(interpreter, profile, scenarios / each, Role.NEGATIVE_CONTROL, healthy)
                for each in NEGATIVE
            ),
        )
    )


def _control(
    interpreter: Interpreter,
    profile: Profile,
    folder: Path,
    role: Role,
    expect: tuple[Verdict, ...],
) -> Cell:
    file = folder / "scenario.toml"
    try:
        scenario = msgspec.convert(read_toml(file), _Scenario)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    return Cell(
        target="controls",
        interpreter=interpreter,
        profile=profile,
        layout=Layout(
            name=folder.name,
            overlays=(str(folder.resolve()),),
            python=scenario.python,
            summary=scenario.title,
        ),
        entry=Entry(name="import", statement=scenario.statement),
        context=_CONTEXT,
        role=role,
        expect=expect,
        deadline_s=_MARGIN_S + 2 * scenario.lasts_s,
    )
