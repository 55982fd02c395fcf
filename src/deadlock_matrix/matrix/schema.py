"""What a configuration file may say, as types: the keys of ``[tool.deadlock-matrix]``."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from deadlock_matrix.decoding import read_toml
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.cell import Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.comparison import WORSE, ChangeKind
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.wording import explain

PYPROJECT = "pyproject.toml"
TABLE = "deadlock-matrix"

Patterns = str | tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    pass


class AxesTable(_Table, frozen=True, kw_only=True):
    """Values by axis: names or glob patterns; ``!`` before one removes it again."""

    interpreter: Patterns = ()
    profile: Patterns = ()
    layout: Patterns = ()
    entry: Patterns = ()
    context: Patterns = ()


class PartTable(AxesTable, frozen=True, kw_only=True):
    """A part of a preset, and how densely it is covered."""

    coverage: str = "full"


class PresetTable(_Table, frozen=True, kw_only=True):
    """A selection with a name: the union of its parts."""

    name: str
    part: tuple[PartTable, ...]
    summary: str = ""


class ExpectTable(AxesTable, frozen=True, kw_only=True):
    """The verdicts that some cells may have; the reason is mandatory."""

    verdicts: tuple[Verdict, ...]
    reason: str
    systems: tuple[str, ...] = ()
    deadline_s: float | msgspec.UnsetType = msgspec.UNSET


class ExpectedTable(_Table, frozen=True, kw_only=True):
    """A change that the gate lets pass until a day; the reason is mandatory."""

    cell: str
    kind: ChangeKind
    reason: str
    until: date


class GateTable(_Table, frozen=True, kw_only=True):
    """Which changes fail ``report compare --gate``."""

    fail_on: tuple[ChangeKind, ...] = WORSE
    expected: tuple[ExpectedTable, ...] = ()


class Table(_Table, frozen=True, kw_only=True):
    """The whole of ``[tool.deadlock-matrix]``."""

    study: str = ""
    target: str = ""
    statement: str = ""
    deadline_s: float | msgspec.UnsetType = msgspec.UNSET
    watch_modules: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    entry: tuple[Entry, ...] = ()
    layout: tuple[Layout, ...] = ()
    profile: tuple[Profile, ...] = ()
    context: tuple[Context, ...] = ()
    interpreter: tuple[Interpreter, ...] = ()
    expect: tuple[ExpectTable, ...] = ()
    preset: tuple[PresetTable, ...] = ()
    default: PartTable | msgspec.UnsetType = msgspec.UNSET
    gate: GateTable = GateTable()

    @property
    def has_own_target(self) -> bool:
        """Whether the file says what to import."""
        return bool(self.target or self.statement or self.entry or self.layout)


def read_table(path: Path) -> Table | None:
    """Read a configuration file.

    Args:
        path: A ``pyproject.toml``, or a TOML file whose top level is the table itself.

    Returns:
        The table; ``None`` if this is a ``pyproject.toml`` without one.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, or says something impossible.
    """
    document: Any = read_toml(path)
    if path.name == PYPROJECT:
        tools = document.get("tool")
        tools = tools if isinstance(tools, dict) else {}
        if near := _misspelt(tools):
            raise ConfigurationError(
                f"{path}: the table [tool.{near}] is not read; call it [tool.{TABLE}]"
            )
        document = tools.get(TABLE)
        if document is None:
            return None
    elif "tool" in document:
        raise ConfigurationError(
            f"{path}: in a file of this name the keys stand at the top; "
            f"[tool.{TABLE}] is read from a {PYPROJECT}"
        )
    try:
        return msgspec.convert(document, Table)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {explain(error, Table, document)}") from None


def _misspelt(tools: dict[str, Any]) -> str:
    """Return the name of a table that was meant to be ours; empty if there is none."""
    others = {name.lower().replace("_", "-"): name for name in tools if name != TABLE}
    near = get_close_matches(TABLE, others, n=1, cutoff=0.85)
    return others[near[0]] if near else ""
