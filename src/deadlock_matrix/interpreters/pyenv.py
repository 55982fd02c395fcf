"""The interpreters that pyenv has built, and its wrappers, which stand for one at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deadlock_matrix.interpreters.places import expand, python_in


def pyenv_root(variables: Mapping[str, str], home: Path) -> Path:
    """Return pyenv's folder, whether or not it exists."""
    return Path(variables.get("PYENV_ROOT") or home / ".pyenv")


def pyenv_versions(root: Path, major: int | None = None, minor: int | None = None) -> list[str]:
    """Return the executables of the versions in ``root``, oldest first.

    Args:
        root: From `pyenv_root`.
        major: Only this version, as far as its folder's name shows it.
        minor: Only this minor version, too.
    """
    wanted = [str(part) for part in (major, minor) if part is not None]
    found = [
        python_in(folder)
        for folder in expand(root, "versions/*")
        if folder.name.split(".")[: len(wanted)] == wanted
    ]
    return [str(path) for path in found if path is not None]


def is_shim(path: str, root: Path) -> bool:
    """Return whether ``path`` is a wrapper of pyenv's, all of whose versions are listed anyway."""
    return os.path.realpath(Path(path).parent) == os.path.realpath(root / "shims")
