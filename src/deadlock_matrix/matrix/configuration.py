"""What to run, as the user's file and the built-in values say it together."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import check_names, extend, isolate, patterns_of
from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.matrix.schema import PYPROJECT, ExpectTable, PartTable, Table, read_table
from deadlock_matrix.matrix.selection import (
    DEFAULT_PRESET,
    OWN_TARGET_PRESETS,
    Part,
    Preset,
    parse_coverage,
)
from deadlock_matrix.matrix.settings import Configuration, Expectation, check, check_gate
from deadlock_matrix.matrix.wording import suggestion
from deadlock_matrix.model.cell import AXES, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.comparison import ExpectedChange, Gate

__all__ = ["Configuration", "Expectation", "baseline", "load_configuration", "load_gate"]

BASELINE = "baseline"
INSTALLED = Layout(name="installed", summary="the package as the interpreter finds it by itself")

_BUILT_IN = Path(__file__).with_name("builtin.toml")
_DEADLINE_S = 120.0
_SYSTEMS = ("linux", "darwin", "win32")


def load_configuration(file: Path | None, start: Path) -> Configuration:
    """Put the user's values and the built-in ones together.

    A file that says what to import takes the place of the built-in target, with its entries,
    layouts, presets and expectations. Profiles and contexts extend the built-in ones; one with a
    built-in's name takes its place.

    Args:
        file: A ``pyproject.toml``, or a TOML file whose top level is the table. ``None``: the
            nearest ``pyproject.toml`` with the table, from ``start`` upwards; else built-in values.
        start: The folder to begin at.

    Raises:
        ConfigurationError: One sentence with the file, the key and the nearest right spelling.
        Unavailable: The built-in target is wanted and not installed.
    """
    built_in = _read_built_in()
    path, own = _find(file, start)
    if path is None:
        return _use_built_in_target(built_in, own, _BUILT_IN)
    try:
        use = _use_own_target if own.has_own_target else _use_built_in_target
        return msgspec.structs.replace(use(built_in, own, path), source=str(path))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def load_gate(file: Path | None, start: Path) -> Gate:
    """The gate of a configuration, without the rest of it.

    Reports may be compared where nothing of what they are about is installed.

    Args:
        file: As for `load_configuration`.
        start: The folder to begin at.

    Raises:
        ConfigurationError: One sentence with the file, the key and the nearest right spelling.
    """
    path, table = _find(file, start)
    try:
        return _gate(table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def baseline() -> Profile:
    """The built-in profile that unsets every variable any built-in profile names."""
    profiles = isolate(_read_built_in().profile)
    return next(profile for profile in profiles if profile.name == BASELINE)


def _read_built_in() -> Table:
    table = read_table(_BUILT_IN)
    if table is None:
        raise ConfigurationError(f"{_BUILT_IN} is empty")
    return table


def _find(file: Path | None, start: Path) -> tuple[Path | None, Table]:
    if file is not None:
        table = read_table(file)
        if table is None:
            raise ConfigurationError(f"{file} has no table [tool.deadlock-matrix]")
        return file.absolute(), table
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        path = candidate / PYPROJECT
        table = read_table(path) if path.is_file() else None
        if table is not None:
            return path, table
    return None, Table()


def _use_built_in_target(built_in: Table, own: Table, path: Path) -> Configuration:
    root = repro_root()
    return _assemble(
        built_in,
        own,
        path,
        target=built_in.target,
        entries=built_in.entry,
        layouts=tuple(_anchor(layout, root) for layout in built_in.layout),
        presets=extend(_presets(built_in), _presets(own)),
        expectations=(*_expectations(built_in), *_expectations(own)),
        watched=_unless_unset(built_in),
    )


def _use_own_target(built_in: Table, own: Table, path: Path) -> Configuration:
    if own.statement and own.entry:
        raise ConfigurationError("both 'statement' and [[entry]] are given; keep one of the two")
    if not own.statement and not own.entry:
        given = "'target'" if own.target else "[[layout]]"
        raise ConfigurationError(f"{given} is given without a 'statement' or an [[entry]]")
    entries = own.entry or (Entry(name="import", statement=own.statement),)
    layouts = tuple(_anchor(layout, path.parent) for layout in own.layout) or (INSTALLED,)
    for layout in layouts:
        for overlay in layout.overlays:
            if not Path(overlay).is_dir():
                raise ConfigurationError(
                    f"layout {layout.name!r}: the overlay {overlay} is not a folder"
                )
    package = _imported_package(entries)
    return _assemble(
        built_in,
        own,
        path,
        target=own.target or package or "target",
        entries=entries,
        layouts=layouts,
        presets=extend(OWN_TARGET_PRESETS, _presets(own)),
        expectations=_expectations(own),
        watched=tuple(dict.fromkeys(filter(None, [package, *_unless_unset(built_in)]))),
    )


def _unless_unset(table: Table) -> tuple[str, ...]:
    return () if table.watch_modules is msgspec.UNSET else table.watch_modules


def _assemble(
    built_in: Table,
    own: Table,
    path: Path,
    *,
    target: str,
    entries: tuple[Entry, ...],
    layouts: tuple[Layout, ...],
    presets: tuple[Preset, ...],
    expectations: tuple[Expectation, ...],
    watched: tuple[str, ...],
) -> Configuration:
    for axis in AXES:
        check_names(axis, getattr(own, axis))  # before a name given twice is merged into one
    deadlines = (own.deadline_s, built_in.deadline_s, _DEADLINE_S)
    configuration = Configuration(
        target=target,
        entries=entries,
        layouts=layouts,
        profiles=isolate(extend(built_in.profile, own.profile)),
        contexts=extend(built_in.context, own.context),
        interpreters=tuple(_reach(interpreter, path.parent) for interpreter in own.interpreter),
        presets=presets,
        expectations=expectations,
        deadline_s=next(each for each in deadlines if each is not msgspec.UNSET),
        watch_modules=watched if own.watch_modules is msgspec.UNSET else own.watch_modules,
        gate=_gate(own),
    )
    check(configuration)
    return configuration


def _presets(table: Table) -> tuple[Preset, ...]:
    presets = tuple(
        Preset(name=each.name, summary=each.summary, parts=tuple(_part(part) for part in each.part))
        for each in table.preset
    )
    check_names("preset", presets)
    if table.default is msgspec.UNSET:
        return presets
    if any(preset.name == DEFAULT_PRESET for preset in presets):
        raise ConfigurationError("[default] is the preset 'default', which is given too; keep one")
    return (*presets, Preset(name=DEFAULT_PRESET, parts=(_part(table.default),)))


def _part(table: PartTable) -> Part:
    return Part(axes=patterns_of(table), coverage=parse_coverage(table.coverage))


def _expectations(table: Table) -> tuple[Expectation, ...]:
    return tuple(_expectation(each) for each in table.expect)


def _expectation(table: ExpectTable) -> Expectation:
    if not table.reason.strip():
        raise ConfigurationError("[[expect]] has an empty reason; say why it comes out so")
    if not table.verdicts:
        raise ConfigurationError("[[expect]] has no verdicts; name at least one")
    for system in table.systems:
        if system not in _SYSTEMS:
            raise ConfigurationError(
                f"[[expect]]: no system is called {system!r}{suggestion(system, _SYSTEMS)}"
            )
    return Expectation(
        axes=patterns_of(table),
        verdicts=table.verdicts,
        reason=" ".join(table.reason.split()),
        systems=table.systems,
        deadline_s=None if table.deadline_s is msgspec.UNSET else table.deadline_s,
    )


def _gate(table: Table) -> Gate:
    gate = Gate(
        fail_on=tuple(dict.fromkeys(table.gate.fail_on)),
        expected=tuple(
            ExpectedChange(
                cell=each.cell.strip(),
                kind=each.kind,
                reason=" ".join(each.reason.split()),
                until=each.until,
            )
            for each in table.gate.expected
        ),
    )
    check_gate(gate)
    return gate


def _anchor(layout: Layout, folder: Path) -> Layout:
    overlays = tuple(str((folder / overlay).resolve()) for overlay in layout.overlays)
    return msgspec.structs.replace(layout, overlays=overlays)


def _reach(interpreter: Interpreter, folder: Path) -> Interpreter:
    """Anchor a path; a bare command such as ``python3.12`` is looked for when it is needed."""
    executable = Path(interpreter.executable).expanduser()
    if len(executable.parts) > 1:
        executable = folder / executable
    return msgspec.structs.replace(interpreter, executable=str(executable))


def _imported_package(entries: tuple[Entry, ...]) -> str:
    """The top-level package that the first import statement names; empty: there is none."""
    for entry in entries:
        try:
            nodes = list(ast.walk(ast.parse(entry.statement)))
        except (SyntaxError, ValueError):
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                return node.names[0].name.partition(".")[0]
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                return node.module.partition(".")[0]
    return ""
