"""Virtual environments that can be known: active, of the project, kept together, in a tree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from deadlock_matrix.interpreters.places import (
    Surroundings,
    expand,
    is_there,
    python_in,
    up_to_project,
    usual_python,
)

_IN_PROJECT = (".venv", "venv")
_OF_SESSIONS = (".nox/*", ".tox/*")  # in the current folder
_UNSEARCHED = frozenset({".git", ".hg", "__pycache__", "node_modules", "site-packages"})


def list_environments(surroundings: Surroundings) -> Iterator[str]:
    """Yield the interpreters of virtual environments, including broken ones.

    This looks at ``VIRTUAL_ENV``, at ``.venv`` and ``venv`` in the current folder and above it up
    to the project's, at nox's and tox's in the current folder, and at ``WORKON_HOME``.
    """
    for folder in _folders(surroundings):
        if is_environment(folder):
            yield str(python_in(folder) or usual_python(folder))


def is_environment(folder: Path) -> bool:
    """Return whether ``folder`` is one of venv's or virtualenv's, or of conda's."""
    return is_there(folder / "pyvenv.cfg") or is_there(folder / "conda-meta")


def search_trees(trees: Sequence[str]) -> tuple[list[str], list[str]]:
    """Search everything below some folders.

    A link to a folder is looked at, but not followed further: it may lead back.

    Returns:
        The interpreters of environments; and folders named ``bin``, which may contain others.
    """
    executables: list[str] = []
    bins: list[str] = []
    for tree in trees:
        for folder in _walk(tree):
            if is_environment(folder):
                executables.append(str(python_in(folder) or usual_python(folder)))
            elif folder.name == "bin":
                bins.append(str(folder))
    return executables, bins


def _walk(tree: str) -> Iterator[Path]:
    yield Path(tree)
    for parent, names, _ in os.walk(tree):
        here = Path(parent)
        if is_environment(here):  # inside an environment, only conda keeps others
            names[:] = [name for name in names if name == "envs"]
        names[:] = sorted(name for name in names if name not in _UNSEARCHED)
        yield from (here / name for name in names)


def _folders(surroundings: Surroundings) -> Iterator[Path]:
    variables, here = surroundings.variables, Path(surroundings.folder)
    if active := variables.get("VIRTUAL_ENV"):
        yield here / active
    for folder in up_to_project(here):
        yield from (folder / name for name in _IN_PROJECT)
    for pattern in _OF_SESSIONS:
        yield from expand(here, pattern)
    kept = variables.get("WORKON_HOME") or Path(surroundings.home, ".virtualenvs")
    if Path(kept).is_absolute():
        yield from expand(Path(kept), "*")
