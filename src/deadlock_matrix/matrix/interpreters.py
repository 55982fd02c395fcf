"""The values of the first axis: which executables are meant."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ConfigurationError, Unavailable
from deadlock_matrix.interpreters.physical import name_of
from deadlock_matrix.interpreters.places import python_in
from deadlock_matrix.interpreters.pyenv import pyenv_root, pyenv_versions
from deadlock_matrix.matrix.axes import check_names, to_name
from deadlock_matrix.matrix.settings import Configuration
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.wording import suggestion

THIS = "this"


def resolve(names: Sequence[str], configuration: Configuration) -> tuple[Interpreter, ...]:
    """Return the interpreters that ``names`` mean, in their order.

    Args:
        names: Each is the name of a configured interpreter; the path of an executable or of an
            environment's folder; a command; ``name=path``; or a version such as ``3.12`` to look
            for on this machine. If empty: all configured ones, or else that of the active
            environment, or else the one running this.
        configuration: Has the configured ones.

    Raises:
        ConfigurationError: A name means nothing, or two interpreters get the same name.
        Unavailable: There is no interpreter of the requested version.
    """
    if not names:
        here = Interpreter(name=THIS, executable=str(active_python() or sys.executable))
        return tuple(map(_complete, configuration.interpreters)) or (here,)
    found = tuple(_resolve(name, configuration) for name in names)
    check_names("interpreter", found)
    return found


def active_python() -> Path | None:
    """Return the interpreter of the environment that the caller's shell activated, if any."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        folder = os.environ.get(variable)
        found = python_in(Path(folder)) if folder else None
        if found is not None:
            return found
    return None


def _complete(interpreter: Interpreter) -> Interpreter:
    """Find the executable of a configured interpreter, if an environment or a command is given."""
    given = Path(interpreter.executable)
    found = python_in(given) if len(given.parts) > 1 else shutil.which(given)
    return msgspec.structs.replace(interpreter, executable=str(found or given))


def _resolve(text: str, configuration: Configuration) -> Interpreter:
    for interpreter in configuration.interpreters:
        if interpreter.name == text:
            return _complete(interpreter)
    name, equals, path = text.partition("=")
    if equals and "/" not in name and os.sep not in name and name[-1:] not in ("=", "<", ">", "!"):
        if not path:
            raise ConfigurationError(
                f"interpreter {text!r}: there is no path after '='; write NAME=PATH"
            )
        return Interpreter(name=name, executable=str(_find_path(path, text)))
    if len(Path(text).parts) > 1 or Path(text).exists():
        found = _find_path(text, text)
        return Interpreter(name=to_name(name_of(str(found))), executable=str(found))
    if command := shutil.which(text):
        return Interpreter(name=to_name(text), executable=command)
    return Interpreter(name=to_name(text), executable=_discover(text, configuration))


def _find_path(path: str, given: str) -> Path:
    # Not the real path: a virtual environment's python is a link to that of its base.
    whole = Path(path).expanduser().absolute()
    found = python_in(whole) if whole.is_dir() else whole
    if found is None:
        raise ConfigurationError(f"interpreter {given!r}: there is no python in {whole}")
    if not os.path.lexists(found):
        raise ConfigurationError(f"interpreter {given!r}: {found} does not exist")
    return found


def _discover(text: str, configuration: Configuration) -> str:
    from python_discovery import KNOWN_IMPLEMENTATIONS, PythonSpec, get_interpreter

    spec = PythonSpec.from_string_spec(text)
    names = [interpreter.name for interpreter in configuration.interpreters]
    wanted = spec.implementation in (None, "python", *KNOWN_IMPLEMENTATIONS)
    if spec.path is not None or not wanted or (spec.major is None and not spec.version_specifier):
        near = suggestion(text, names) if names else ""
        raise ConfigurationError(
            f"interpreter {text!r} is neither a configured name nor a path, a command or a "
            f"version{near}"
        )
    # pyenv's first: on PATH it has wrappers that stand for one version at a time.
    root = pyenv_root(os.environ, Path.home())
    versions = pyenv_versions(root, spec.major, spec.minor)
    try:
        found = get_interpreter(text, try_first_with=versions)
    except RuntimeError as error:  # the one that fits is too old to be asked: it says so
        raise Unavailable(f"interpreter {text!r}: {error}") from error
    if found is None or not found.executable:
        raise Unavailable(
            f"no interpreter {text!r} was found on this machine; give its path as NAME=PATH"
        )
    return found.executable
