"""Which paths lead to the same interpreter, and which file is only a wrapper of another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from deadlock_matrix.interpreters.places import home_of, is_there

Key = tuple[str, str]

_NAMES = re.compile(
    r"((platform-)?c?python|pypy|graalpy)[\d.]*[mt]?(d|_d|-dbg|-debug)?(\.exe)?", re.IGNORECASE
)
_SAYS_NOTHING = (".venv", "venv", ".env", "env")


def key_of(path: str) -> Key:
    """Return what all paths to one interpreter share: environment and real executable.

    The folder through which a Python is called decides whether it is in a virtual environment: a
    link from elsewhere to an environment's python means its base.
    """
    real = os.path.realpath(path)
    if not _has_name_of_python(real):  # one program that is many, depending on its name
        real = str(Path(os.path.realpath(Path(path).parent), Path(path).name))
    return os.path.normcase(_environment_of(path)), os.path.normcase(real)


def may_wrap(path: str) -> bool:
    """Return whether ``path`` may start another Python: a script, or a program of another name."""
    real = os.path.realpath(path)
    if not _has_name_of_python(real):
        return True
    try:
        with Path(real).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def choose_path(paths: Iterable[str]) -> str:
    """Choose the path by which to call an interpreter: the file itself rather than a link.

    For an environment the plainest name; otherwise the first.
    """
    found = list(paths)
    if any(map(_environment_of, found)):
        return min(found, key=lambda path: len(Path(path).name))
    return next((path for path in found if path == os.path.realpath(path)), found[0])


def name_of(executable: str) -> str:
    """Return a name for an interpreter: its environment's, or else its file's."""
    path = Path(executable)
    home = Path(home_of(executable))
    if any(is_there(home / mark) for mark in ("pyvenv.cfg", "conda-meta")):
        if home.name in _SAYS_NOTHING and home.parent.name:
            return f"{home.parent.name}-{home.name.lstrip('.')}"
        return home.name
    return path.stem if path.suffix == ".exe" else path.name


def _environment_of(path: str) -> str:
    """Return the virtual environment of an executable, by its folder; empty if none."""
    folder = Path(os.path.realpath(Path(path).parent))
    homes = (home for home in (folder, folder.parent) if is_there(home / "pyvenv.cfg"))
    return str(next(homes, ""))


def _has_name_of_python(path: str) -> bool:
    return _NAMES.fullmatch(Path(path).name) is not None
