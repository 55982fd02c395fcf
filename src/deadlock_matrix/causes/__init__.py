"""Known causes: a file each in this folder, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deadlock_matrix.decoding import read_toml
from deadlock_matrix.diagnosis.recognition.cause_file import parse_causes
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.errors import ConfigurationError

BUILT_IN = Path(__file__).parent
SUFFIX = ".toml"


def load_causes(folders: Iterable[Path] = ()) -> tuple[Cause, ...]:
    """Return the known causes: the built-in ones, and those of ``folders``.

    Raises:
        ConfigurationError: A file cannot be read, or says something impossible.
    """
    return parse_causes(read_causes(folders))


def read_causes(folders: Iterable[Path] = ()) -> dict[str, dict[str, Any]]:
    """Return the tables of all cause files, by name: the built-in ones, then those of ``folders``.

    A file replaces an earlier one with the same name.

    Raises:
        ConfigurationError: A folder or file cannot be read, or is not TOML.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in (BUILT_IN, *folders):
        if not folder.is_dir():
            raise ConfigurationError(
                f"{folder} is not a folder; known causes are files {SUFFIX} in a folder"
            )
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found[path.stem] = read_toml(path)
    return found
