"""Where to look: the variables, folders and trees with which a search for interpreters begins."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

_USUAL = (
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/Library/Frameworks/Python.framework/Versions/*/bin",  # python.org on macOS
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/python@*/bin",
    "/usr/local/opt/python@*/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "~/.linuxbrew/bin",
    "~/.local/bin",
    "~/.asdf/installs/python/*/bin",
    "~/.local/share/mise/installs/python/*/bin",
)
"""Where installers put interpreters, whether or not ``PATH`` names the folder. None of them exists
on Windows: installers write into the registry.
"""

_PROJECT_MARKS = ("pyproject.toml", "pixi.toml", "setup.py", "setup.cfg", ".git", ".hg")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a search begins with.

    ``variables`` are those of the environment, ``folder`` is the current one, ``folders`` are
    searched after those on ``PATH``, ``trees`` are searched with everything below them.
    """

    variables: dict[str, str]
    home: str
    folder: str
    folders: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()


def look_around(trees: Iterable[Path] = ()) -> Surroundings:
    """Return the surroundings of this process, and ``trees`` that the caller wants searched."""
    home, top = Path.home(), Path("/")
    usual = [(home, each[2:]) if each[0] == "~" else (top, each[1:]) for each in _USUAL]
    return Surroundings(
        variables=dict(os.environ),
        home=str(home),
        folder=str(Path.cwd()),
        folders=tuple(str(found) for base, pattern in usual for found in expand(base, pattern)),
        trees=tuple(str(tree.absolute()) for tree in trees),
    )


def expand(base: Path, pattern: str) -> tuple[Path, ...]:
    """Return the paths in ``base`` that match ``pattern``, in the order that a reader expects."""
    try:
        found = list(base.glob(pattern))
    except OSError:
        return ()  # a folder on the way may not be read
    return tuple(sorted(found, key=lambda path: in_order(str(path))))


def in_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key by which 3.9 comes before 3.10."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def up_to_project(here: Path) -> tuple[Path, ...]:
    """Return the current folder and those above, up to the project's root, if there is one."""
    folders = (here, *here.parents)
    for at, folder in enumerate(folders):
        if any(is_there(folder / mark) for mark in _PROJECT_MARKS):
            return folders[: at + 1]
    return folders[:1]


def is_there(path: Path) -> bool:
    """Return whether ``path`` leads to something; False if we may not look."""
    try:
        return path.exists()
    except OSError:
        return False


def home_of(executable: str) -> str:
    """Return the folder in which an executable is installed, if it is where most are."""
    folder = Path(executable).parent
    return str(folder.parent if folder.name in ("bin", "Scripts", "condabin") else folder)


def python_in(folder: Path) -> Path | None:
    """Return the interpreter of an environment or installation, even if its link is broken."""
    paths = (folder / inside for inside in _IN_ENVIRONMENT)
    return next((path for path in paths if os.path.lexists(path)), None)


def usual_python(folder: Path) -> Path:
    """Return where the interpreter of an environment would be, if it had one."""
    if sys.platform != "win32":
        return folder / "bin" / "python"
    conda = is_there(folder / "conda-meta")
    return folder / "python.exe" if conda else folder / "Scripts" / "python.exe"


_IN_ENVIRONMENT = (
    "bin/python",
    "bin/python3",
    "bin/pypy3",
    "bin/pypy",
    "Scripts/python.exe",
    "python.exe",
)
