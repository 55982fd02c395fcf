"""The options that choose cells, for the commands that run or list them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from deadlock_matrix.app.planning import Wanted

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_AXES = ("profile", "layout", "entry", "context")

_OPTIONS = (
    click.option(
        "--config",
        type=_FILE,
        help="Read the configuration from this file instead of the nearest pyproject.toml.",
    ),
    click.option("--study", metavar="NAME", help="Run the matrix of this study."),
    click.option(
        "--interpreter",
        multiple=True,
        metavar="NAME",
        help="A configured name, a version (3.12), a path or NAME=PATH. Without it, the configured "
        "ones, or else the active environment's.",
    ),
    click.option(
        "--interpreters-file",
        type=_FILE,
        metavar="FILE",
        help="A JSON list of interpreters, instead of the configured ones.",
    ),
    *(
        click.option(
            f"--{axis}",
            multiple=True,
            metavar="NAME",
            help=f"Only cells with this {axis}; a name or a pattern such as 'a*'.",
        )
        for axis in _AXES
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="AXIS=NAME[,...]",
        help="Leave out the cells that match all of these.",
    ),
    click.option("--preset", metavar="NAME", help="A selection with a name, such as smoke."),
    click.option(
        "--coverage",
        type=click.Choice(["full", "pairwise"]),
        help="Every combination, or every pair of values of two axes at least once.",
    ),
    click.option(
        "--repeat",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Run each cell N times.",
    ),
)


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose cells; their values come as keywords."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wanted(given: dict[str, Any], folder: Path) -> Wanted:
    """Return what the options request, for a folder where the search for a configuration begins."""
    from deadlock_matrix.app.planning import Wanted
    from deadlock_matrix.matrix.selection import Coverage, Selection

    return Wanted(
        folder=folder,
        configuration=given["config"],
        study=given["study"] or "",
        interpreters=given["interpreter"],
        interpreters_file=given["interpreters_file"],
        selection=Selection(
            include=tuple(f"{axis}={name}" for axis in _AXES for name in given[axis]),
            exclude=given["exclude"],
            preset=given["preset"],
            coverage=Coverage(given["coverage"]) if given["coverage"] else None,
        ),
        repeat=given["repeat"],
    )


def as_arguments(given: dict[str, Any]) -> Iterator[str]:
    """Yield the options again, as the pytest plugin takes them; without ``--config``."""
    for name, value in given.items():
        if name == "config" or value in (None, ()) or (name, value) == ("repeat", 1):
            continue
        option = f"--{name.replace('_', '-')}"
        yield from (
            f"{option}={each}" for each in (value if isinstance(value, tuple) else (value,))
        )
