"""Conda environments: what conda, mamba, micromamba and pixi list, and what their files show."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from deadlock_matrix.decoding import decode
from deadlock_matrix.interpreters.bounded import run_bounded
from deadlock_matrix.interpreters.places import (
    Surroundings,
    expand,
    home_of,
    is_there,
    python_in,
    up_to_project,
    usual_python,
)
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_LIST = ("env", "list", "--json")
_ARGUMENTS = {
    "conda": _LIST,
    "mamba": _LIST,
    "micromamba": _LIST,
    "pixi": ("info", "--json"),
}
_NAMED_BY = ("CONDA_EXE", "MAMBA_EXE")  # even if they are shell functions and not on PATH
_OUTPUT_LIMIT = 4 << 20
_USUAL_ROOTS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "conda")

Command = tuple[str, ...]


class _Named(msgspec.Struct, frozen=True):
    prefix: str = ""


class _Global(msgspec.Struct, frozen=True):
    env_dir: str = ""


class _Listing(msgspec.Struct, frozen=True):
    """The part of both kinds of answer that says where environments are."""

    envs: tuple[str, ...] = ()
    environments_info: tuple[_Named, ...] = ()
    global_info: _Global | None = None


def listing_commands(surroundings: Surroundings) -> tuple[Command, ...]:
    """Return the commands that list environments, one for each installation with such a tool."""
    variables = surroundings.variables
    found = [shutil.which(name, path=variables.get("PATH", "")) for name in _ARGUMENTS]
    commands: dict[tuple[str, bool], Command] = {}
    for path in (*(variables.get(name) for name in _NAMED_BY), *found):
        name = Path(path).stem if path else ""
        if path and name in _ARGUMENTS and is_there(Path(path)):
            # conda and mamba of one installation list the same: bin/conda, condabin/mamba.
            root = home_of(os.path.realpath(path))
            commands.setdefault((root, name == "pixi"), (path, *_ARGUMENTS[name]))
    return tuple(commands.values())


def run_listing(
    command: Command, surroundings: Surroundings, deadline_s: float
) -> Known[tuple[str, ...]] | Unknown:
    """Run one of the `listing_commands`, and read which environments it names.

    Args:
        command: It runs in the current folder: pixi lists the project's environments.
        surroundings: Where that is.
        deadline_s: Seconds after which it is ended.
    """
    shown = " ".join([Path(command[0]).name, *command[1:]])
    try:
        ended = run_bounded(
            command, os.environ, deadline_s, folder=surroundings.folder, limit=_OUTPUT_LIMIT
        )
    except (OSError, ValueError) as error:
        return unknown(f"'{shown}' cannot be started: {error}")
    if not ended.in_limit:
        return unknown(f"'{shown}' printed more than {_OUTPUT_LIMIT} bytes, and was ended")
    if not ended.in_time:
        return unknown(f"'{shown}' did not end within {deadline_s:g} s, and was ended")
    if ended.status:
        return unknown(f"'{shown}' failed with status {ended.status}")
    return read_listing(ended.output, shown)


def read_listing(text: bytes, source: str) -> Known[tuple[str, ...]] | Unknown:
    """Return the folders of environments in an answer; unknown if it is no such answer.

    Args:
        text: JSON of ``env list`` or of ``pixi info``; words may precede it.
        source: Whose answer it is.
    """
    try:
        listing = decode(text[max(text.find(b"{"), 0) :], _Listing)
    except msgspec.DecodeError as error:
        return unknown(f"'{source}' did not print the list that was asked for: {error}")
    found = [*listing.envs, *(each.prefix for each in listing.environments_info)]
    if listing.global_info is not None:
        found += map(str, expand(Path(listing.global_info.env_dir), "*"))
    return known(tuple(path for path in found if Path(path).is_absolute()), source)


def known_prefixes(surroundings: Surroundings) -> Iterator[str]:
    """Yield folders that may be conda environments, without running anything.

    Variables and ``~/.conda/environments.txt`` name some; others are pixi's of the project, and the
    folders that installers suggest.
    """
    variables, home = surroundings.variables, Path(surroundings.home)
    for name in ("CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "CONDA_ROOT"):
        yield variables.get(name, "")
    for name in _NAMED_BY:
        if path := variables.get(name):
            yield home_of(os.path.realpath(path))
    with suppress(OSError, UnicodeDecodeError):  # nobody has made an environment here
        yield from Path(home, ".conda/environments.txt").read_text("utf-8").splitlines()
    for base in (*up_to_project(Path(surroundings.folder)), home):
        yield from map(str, expand(base, ".pixi/envs/*"))
    yield from (str(home / name) for name in _USUAL_ROOTS)


def list_pythons(prefixes: Iterable[str]) -> Iterator[str]:
    """Yield the interpreters of ``prefixes`` that are conda environments, and of those inside.

    For an environment without Python, the path where it would be.
    """
    for prefix in map(Path, prefixes):
        if prefix.is_absolute():
            for folder in filter(is_prefix, (prefix, *expand(prefix, "envs/*"))):
                yield str(python_in(folder) or usual_python(folder))


def is_prefix(folder: Path) -> bool:
    """Return whether ``folder`` is a conda environment: conda notes in it what it installs."""
    return is_there(folder / "conda-meta")
