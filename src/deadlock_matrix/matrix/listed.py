"""Interpreters that a file lists, as written by whoever has built them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import check_names
from deadlock_matrix.model.cell import Interpreter


def read_interpreters(path: Path) -> tuple[Interpreter, ...]:
    """Return the interpreters of a JSON list of objects with the fields of `Interpreter`.

    Relative paths are relative to the folder of the file.

    Raises:
        ConfigurationError: The file cannot be read, says something else, or lists a name twice or
            an interpreter that has neither an executable nor a reason why it has none.
    """
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=tuple[Interpreter, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} is not a list of interpreters: {error}") from None
    check_names("interpreter", listed)
    for interpreter in listed:
        if not interpreter.executable and not interpreter.unavailable:
            raise ConfigurationError(
                f"{path}: interpreter {interpreter.name!r} has neither an 'executable' nor "
                "'unavailable', the reason why there is none"
            )
    return tuple(_anchor(interpreter, path.parent) for interpreter in listed)


def _anchor(interpreter: Interpreter, folder: Path) -> Interpreter:
    if interpreter.unavailable:
        return interpreter
    # Not the real path: a virtual environment's python is a link to that of its base.
    executable = (folder / interpreter.executable).absolute()
    return msgspec.structs.replace(interpreter, executable=str(executable))
