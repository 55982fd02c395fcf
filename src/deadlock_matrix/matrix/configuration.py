"""What to run, as the user's file and the built-in values together say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import check_names, extend, isolate, patterns_of
from deadlock_matrix.matrix.schema import PYPROJECT, ExpectTable, PartTable, Table, read_table
from deadlock_matrix.matrix.selection import (
    DEFAULT_PRESET,
    Part,
    Preset,
    own_target_presets,
    parse_coverage,
)
from deadlock_matrix.matrix.settings import Configuration, Expectation, check, check_gate
from deadlock_matrix.model.cell import AXES, Entry, Interpreter, Layout
from deadlock_matrix.model.comparison import ExpectedChange, Gate
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.wording import suggestion

__all__ = ["Configuration", "Expectation", "Offer", "load_configuration", "load_gate"]

INSTALLED = Layout(name="installed", summary="the package as the interpreter finds it by itself")

_BUILT_IN = Path(__file__).with_name("builtin.toml")
_DEADLINE_S = 120.0
_SYSTEMS = ("linux", "darwin", "win32")


class Offer(Protocol):
    """What a study brings to the matrix; see `diagnosis.study.study.Study`."""

    @property
    def name(self) -> str:
        """Its name in a configuration."""

    @property
    def axes(self) -> str:
        """A file with values for every target; empty if it has none."""

    @property
    def cells(self) -> str:
        """A file that says what to import; empty if it has none."""

    @property
    def root(self) -> Callable[[], str]:
        """The folder to which the overlays in ``cells`` are relative."""


def load_configuration(
    file: Path | None, start: Path, offers: Sequence[Offer] = (), study: str = ""
) -> Configuration:
    """Combine the user's values, those of studies and the built-in ones.

    A file says what to import, or names a study that does; if it does neither, there is nothing to
    run, and `matrix.expansion.expand` says so. Profiles and contexts add up; one whose name is
    taken replaces the other.

    Args:
        file: A ``pyproject.toml``, or a TOML file whose top level is the table. ``None`` for the
            nearest ``pyproject.toml`` with the table, from ``start`` upwards, if any.
        start: The folder in which to begin.
        offers: What the studies bring.
        study: The study to run, whatever the file says.

    Raises:
        ConfigurationError: One sentence with the file, the key and the nearest right spelling.
        Unavailable: What the study imports is not installed.
    """
    base = _read_base(offers)
    path, own = _find(file, start)
    if study:
        own = msgspec.structs.replace(own, study=study, **_NO_TARGET)
    try:
        if own.study:
            made = _use_study(base, own, path or start, _chosen(own, offers))
        else:
            made = _use_own_target(base, own, path or start)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}" if path else str(error)) from None
    return msgspec.structs.replace(made, source=str(path or ""))


_NO_TARGET: dict[str, Any] = {"target": "", "statement": "", "entry": (), "layout": ()}


def load_gate(file: Path | None, start: Path) -> Gate:
    """Return the gate of a configuration, without the rest of it.

    Reports may be compared where nothing of what they are about is installed.

    Args:
        file: As for `load_configuration`.
        start: The folder in which to begin.

    Raises:
        ConfigurationError: One sentence with the file, the key and the nearest right spelling.
    """
    path, table = _find(file, start)
    try:
        return _gate(table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _read_base(offers: Sequence[Offer]) -> Table:
    """Read the built-in values with those that studies offer to every target."""
    tables = [_read(_BUILT_IN), *(_read(Path(each.axes)) for each in offers if each.axes)]
    base = tables[0]
    for table in tables[1:]:
        base = msgspec.structs.replace(
            base,
            profile=extend(base.profile, table.profile),
            context=extend(base.context, table.context),
            watch_modules=tuple(dict.fromkeys((*_watched(base), *_watched(table)))),
        )
    return base


def _read(path: Path) -> Table:
    table = read_table(path)
    if table is None:
        raise ConfigurationError(f"{path} is empty")
    return table


def _chosen(own: Table, offers: Sequence[Offer]) -> Offer:
    if own.has_own_target:
        raise ConfigurationError(
            f"the study {own.study!r} brings its own target; leave out 'target', 'statement', "
            "[[entry]] and [[layout]], or 'study'"
        )
    names = [each.name for each in offers if each.cells]
    for each in offers:
        if each.name == own.study and each.cells:
            return each
    raise ConfigurationError(f"no study is called {own.study!r}{suggestion(own.study, names)}")


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


def _use_study(base: Table, own: Table, path: Path, study: Offer) -> Configuration:
    brought = _read(Path(study.cells))
    root = Path(study.root())
    return _assemble(
        base,
        own,
        path,
        target=brought.target,
        entries=brought.entry,
        layouts=tuple(_anchor(layout, root) for layout in brought.layout),
        presets=extend(_presets(brought), _presets(own)),
        expectations=(*_expectations(brought), *_expectations(own)),
        watched=(*_watched(base), *_watched(brought)),
    )


def _use_own_target(base: Table, own: Table, path: Path) -> Configuration:
    if own.statement and own.entry:
        raise ConfigurationError("both 'statement' and [[entry]] are given; keep one of the two")
    if own.has_own_target and not own.statement and not own.entry:
        given = "'target'" if own.target else "[[layout]]"
        raise ConfigurationError(f"{given} is given without a 'statement' or an [[entry]]")
    alone = (Entry(name="import", statement=own.statement),) if own.statement else ()
    entries = own.entry or alone
    layouts = tuple(_anchor(layout, path.parent) for layout in own.layout) or (INSTALLED,)
    for layout in layouts:
        for overlay in layout.overlays:
            if not Path(overlay).is_dir():
                raise ConfigurationError(
                    f"layout {layout.name!r}: the overlay {overlay} is not a folder"
                )
    package = next(filter(None, (imported_package(each.statement) for each in entries)), "")
    contexts = extend(base.context, own.context)
    return _assemble(
        base,
        own,
        path,
        target=own.target or package or "target",
        entries=entries,
        layouts=layouts,
        presets=extend(own_target_presets(contexts), _presets(own)),
        expectations=_expectations(own),
        watched=tuple(dict.fromkeys(filter(None, [package, *_watched(base)]))),
    )


def _watched(table: Table) -> tuple[str, ...]:
    return () if table.watch_modules is msgspec.UNSET else table.watch_modules


def _assemble(
    base: Table,
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
    deadlines = (own.deadline_s, base.deadline_s, _DEADLINE_S)
    configuration = Configuration(
        target=target,
        entries=entries,
        layouts=layouts,
        profiles=isolate(extend(base.profile, own.profile)),
        contexts=extend(base.context, own.context),
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
        raise ConfigurationError("[[expect]] has an empty reason; say why this outcome is expected")
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
