"""The values of the first axis: which executables are meant, and what they are."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ConfigurationError, Unavailable
from deadlock_matrix.matrix.axes import check_names, to_name
from deadlock_matrix.matrix.fingerprint import take_fingerprint
from deadlock_matrix.matrix.question import TimedOut, ask
from deadlock_matrix.matrix.remembered import recall, remember
from deadlock_matrix.matrix.settings import Configuration
from deadlock_matrix.matrix.wording import suggestion
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.report import Fingerprint, InterpreterFacts

DEADLINE_S = 10.0
THIS = "this"

_IN_ENVIRONMENT = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")


def resolve(names: Sequence[str], configuration: Configuration) -> tuple[Interpreter, ...]:
    """The interpreters that ``names`` mean, in their order.

    Args:
        names: Each the name of a configured interpreter; the path of an executable or of an
            environment's folder; a command; ``name=path``; or a version such as ``3.12`` that is
            looked for on this machine. None: all configured ones, or else the one running this.
        configuration: Has the configured ones.

    Raises:
        ConfigurationError: A name means nothing, or two interpreters get the same name.
        Unavailable: There is no interpreter of the version that is asked for.
    """
    if not names:
        here = Interpreter(name=THIS, executable=sys.executable)
        return tuple(map(_complete, configuration.interpreters)) or (here,)
    found = tuple(_resolve(name, configuration) for name in names)
    check_names("interpreter", found)
    return found


def identify(
    interpreter: Interpreter, cache: Path | None = None, deadline_s: float = DEADLINE_S
) -> InterpreterFacts:
    """Find out what an interpreter is, without importing anything that is installed in it.

    Args:
        interpreter: Its executable is started, once and bounded, unless it is remembered.
        cache: The folder to remember it in; ``None``: ask, and remember nothing.
        deadline_s: Seconds that it has to answer.
    """
    executable = str(Path(interpreter.executable).absolute())
    fingerprint = recall(executable, cache, deadline_s) if cache else None
    if fingerprint is None:
        fingerprint = _identify(interpreter, executable, cache, deadline_s)
    if isinstance(fingerprint, Known):
        named = msgspec.structs.replace(
            fingerprint.value, name=interpreter.name, executable=interpreter.executable
        )
        fingerprint = known(named, fingerprint.source)
    return InterpreterFacts(
        name=interpreter.name, executable=interpreter.executable, fingerprint=fingerprint
    )


def _identify(
    interpreter: Interpreter, executable: str, cache: Path | None, deadline_s: float
) -> Known[Fingerprint] | Unknown:
    if missing := _what_is_missing(executable):
        return Unknown(reason=missing)
    answer = ask(executable, deadline_s)
    if isinstance(answer, TimedOut):
        reason = Unknown(reason=answer.reason)
        if cache:
            remember(executable, cache, reason, None, deadline_s)
        return reason
    if isinstance(answer, Unknown):
        return answer  # not remembered: what it lacks may lie outside its own files
    fingerprint = known(
        take_fingerprint(interpreter, answer.value),
        f"{answer.source}, and metadata in its site-packages",
    )
    if cache:
        remember(executable, cache, fingerprint, answer.value)
    return fingerprint


def _what_is_missing(executable: str) -> str:
    path = Path(executable)
    if path.is_file():
        return "" if os.access(path, os.X_OK) else f"{path} is not executable"
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {os.path.realpath(path)}, which does not exist"
    return f"{path} is a folder" if path.is_dir() else f"{path} does not exist"


def _complete(interpreter: Interpreter) -> Interpreter:
    """Find the executable of a configured interpreter, if an environment or a command is given."""
    given = Path(interpreter.executable)
    found = _inside(given) if len(given.parts) > 1 else shutil.which(given)
    return msgspec.structs.replace(interpreter, executable=str(found or given))


def _resolve(text: str, configuration: Configuration) -> Interpreter:
    for interpreter in configuration.interpreters:
        if interpreter.name == text:
            return _complete(interpreter)
    name, equals, path = text.partition("=")
    if equals and "/" not in name and os.sep not in name and name[-1:] not in ("=", "<", ">", "!"):
        if not path:
            raise ConfigurationError(f"interpreter {text!r}: there is no path after the '='")
        return Interpreter(name=name, executable=str(_find_path(path, text)))
    if len(Path(text).parts) > 1 or Path(text).exists():
        found = _find_path(text, text)
        return Interpreter(name=_name_of(found), executable=str(found))
    if command := shutil.which(text):
        return Interpreter(name=to_name(text), executable=command)
    return Interpreter(name=to_name(text), executable=_discover(text, configuration))


def _find_path(path: str, given: str) -> Path:
    # Not the real path: a virtual environment's python is a link to that of its base.
    whole = Path(path).expanduser().absolute()
    found = _inside(whole) if whole.is_dir() else whole
    if found is None:
        raise ConfigurationError(f"interpreter {given!r}: there is no python in {whole}")
    if not os.path.lexists(found):
        raise ConfigurationError(f"interpreter {given!r}: {found} does not exist")
    return found


def _inside(folder: Path) -> Path | None:
    paths = (folder / inside for inside in _IN_ENVIRONMENT)
    return next((path for path in paths if os.path.lexists(path)), None)


def _name_of(executable: Path) -> str:
    folder = executable.parent
    home = folder.parent if folder.name in ("bin", "Scripts") else folder
    is_environment = any((home / mark).exists() for mark in ("pyvenv.cfg", "conda-meta"))
    plain = executable.stem if executable.suffix == ".exe" else executable.name
    return to_name(home.name if is_environment else plain)


def _discover(text: str, configuration: Configuration) -> str:
    from python_discovery import KNOWN_IMPLEMENTATIONS, PythonSpec, get_interpreter

    spec = PythonSpec.from_string_spec(text)
    names = [interpreter.name for interpreter in configuration.interpreters]
    wanted = spec.implementation in (None, "python", *KNOWN_IMPLEMENTATIONS)
    if spec.path is not None or not wanted or (spec.major is None and not spec.version_specifier):
        near = suggestion(text, names) if names else ""
        raise ConfigurationError(
            f"interpreter {text!r} is no configured name, no path, no command and no version{near}"
        )
    found = get_interpreter(text, try_first_with=_pyenv_versions(spec.major, spec.minor))
    if found is None or not found.executable:
        raise Unavailable(
            f"no interpreter {text!r} was found on this machine; give its path as name=path"
        )
    return found.executable


def _pyenv_versions(major: int | None, minor: int | None) -> list[str]:
    """What pyenv has built: on PATH it has wrappers that stand for one version at a time."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    wanted = ".".join(str(part) for part in (major, minor) if part is not None)
    found = [path for path in (root / "versions").glob("*/bin/python") if path.is_file()]
    return [str(path) for path in sorted(found) if path.parent.parent.name.startswith(wanted)]
