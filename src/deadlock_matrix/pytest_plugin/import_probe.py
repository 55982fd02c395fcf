"""The fixture ``import_probe``: one import in a fresh process, watched, in anybody's test suite.

Nothing here needs the matrix. The module is imported when a test first requests the fixture or
carries the marker ``import_contract``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.configuration import INSTALLED
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.model.cell import Cell, Entry, Interpreter, Profile
from deadlock_matrix.pytest_plugin.import_result import ImportResult
from deadlock_matrix.wording import suggestion

if TYPE_CHECKING:
    import os

    from deadlock_matrix.matrix.configuration import Configuration
    from deadlock_matrix.run.workspace import Workspace

TIMEOUT_S = 60.0
AS_IT_IS = "as-it-is"

_OPEN: pytest.StashKey[ImportProbe] = pytest.StashKey()


class ImportProbe:
    """Runs imports, each in a fresh interpreter; the fixture ``import_probe`` is one.

    There is one for a pytest process. It is not for several threads at once.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._path = _python_path(config) or (config.rootpath,)
        self._configuration: Configuration | None = None
        self._workspace: Workspace | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __call__(
        self,
        statement: str,
        *,
        timeout: float = TIMEOUT_S,
        context: str = "main",
        python: str | os.PathLike[str] = "",
        profile: str = "",
        env: Mapping[str, str | None] | None = None,
        path: Iterable[str | os.PathLike[str]] | None = None,
        without: Iterable[str] = (),
    ) -> ImportResult:
        """Execute ``statement`` as a script of its own would, and watch it from outside.

        Args:
            statement: Python code, or the name of a module to import.
            timeout: Seconds for the whole process. A deadlock is proved long before.
            context: From where to call it: ``main``, ``thread``, ``two-threads``, ``fork-again``,
                ``spawn``, or another one of the configuration.
            python: Another interpreter: a path, a command, a version or a configured name.
            profile: A profile of the configuration; without it, the environment is the caller's,
                without what Python, pytest and coverage put there.
            env: Variables to set, or to remove if the value is ``None``.
            path: Folders in which modules are looked for first. Without it, those of pytest's
                ``pythonpath``; without that, pytest's root folder.
            without: Modules about which `ImportResult.assert_not_imported` will ask. They need not
                be named here, but then it takes a second run to find out who imports them.

        Raises:
            ConfigurationError: No such context or profile.
            Unavailable: No such interpreter.
        """
        cell = Cell(
            target="import-probe",
            interpreter=self._interpreter(python, self._path if path is None else path),
            profile=self._profile(profile, env or {}),
            layout=INSTALLED,
            entry=Entry(name="import", statement=as_statement(statement)),
            context=self._named("context", context),
            deadline_s=timeout,
            watch_modules=tuple(dict.fromkeys(without)),
        )
        return ImportResult(self._run(cell), self._root, self._run)

    def close(self) -> None:
        """End the helpers, and with them every probe."""
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @property
    def _run(self) -> Callable[[Cell], Any]:
        from deadlock_matrix.run.cell import run_cell

        return lambda cell: run_cell(cell, self._open_workspace())

    def _open_workspace(self) -> Workspace:
        if self._workspace is None:
            from deadlock_matrix.run.workspace import Workspace

            self._scratch = tempfile.TemporaryDirectory(prefix="import-probe-")
            self._workspace = Workspace(cache_folder(), Path(self._scratch.name))
        return self._workspace

    def _known(self) -> Configuration:
        if self._configuration is None:
            self._configuration = load_configuration(None, self._root)
        return self._configuration

    def _named(self, axis: str, name: str) -> Any:
        values = {each.name: each for each in getattr(self._known(), f"{axis}s")}
        if name not in values:
            raise ConfigurationError(f"no {axis} is called {name!r}{suggestion(name, [*values])}")
        return values[name]

    def _interpreter(
        self, python: str | os.PathLike[str], path: Iterable[str | os.PathLike[str]]
    ) -> Interpreter:
        asked = str(python)
        found = Interpreter(name="python", executable=sys.executable)
        if asked:
            (found,) = resolve((asked,), self._known())
        separator = ";" if sys.platform == "win32" else ":"
        folders = separator.join(str(self._root / each) for each in path)
        return replace(found, set={**found.set, "PYTHONPATH": folders}) if folders else found

    def _profile(self, name: str, env: Mapping[str, str | None]) -> Profile:
        base: Profile = self._named("profile", name) if name else Profile(name=AS_IT_IS)
        wanted = {key: value for key, value in env.items() if value is not None}
        out = tuple(key for key, value in env.items() if value is None)
        kept = {key: value for key, value in base.set.items() if key not in out}
        return replace(base, set={**kept, **wanted}, unset=(*base.unset, *out))


def _python_path(config: pytest.Config) -> tuple[Path, ...]:
    try:
        return tuple(Path(each) for each in config.getini("pythonpath"))
    except ValueError:  # pytest runs without the plugin that knows the setting
        return ()


def as_statement(target: str) -> str:
    """Return ``import mypackage`` for the name of a module, and code as it is."""
    if all(part.isidentifier() for part in target.split(".")):
        return f"import {target}"
    return target


def open_probe(config: pytest.Config) -> ImportProbe:
    """Return the one of this pytest process."""
    probe = config.stash.get(_OPEN, None)
    if probe is None:
        probe = config.stash[_OPEN] = ImportProbe(config)
        config.add_cleanup(probe.close)
    return probe
