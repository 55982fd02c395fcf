"""``deadlock-matrix ci-matrix``: the matrix of jobs for continuous integration, as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deadlock_matrix.errors import ConfigurationError

if TYPE_CHECKING:
    from deadlock_matrix.matrix.configuration import Configuration
    from deadlock_matrix.model.cell import Interpreter

MOST_JOBS = 256  # GitHub's limit for one matrix
_VERSION = re.compile(r"3\.\d+t?")


@click.command(short_help="Print a matrix of jobs for continuous integration.")
@click.option(
    "--config",
    "configuration_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the configuration from this file instead of the nearest pyproject.toml.",
)
@click.option("--interpreter", "interpreters", multiple=True, metavar="NAME",
              help="A version (3.12), a configured name, a path or NAME=PATH. "
              "Without it, the configured ones.")  # fmt: skip
@click.option("--preset", help="A selection with a name, such as 'smoke'.")
@click.option("--runs-on", "systems", multiple=True, metavar="LABEL", default=("ubuntu-latest",),
              show_default=True, help="The machine for a job; with several, "
              "each interpreter gets a job on each.")  # fmt: skip
@click.option("--shards", type=click.IntRange(1, MOST_JOBS), default=1, show_default=True,
              help="Divide the cells of each interpreter among this many jobs.")  # fmt: skip
def command(
    configuration_file: Path | None,
    interpreters: tuple[str, ...],
    preset: str | None,
    systems: tuple[str, ...],
    shards: int,
) -> None:
    """Print {"include": [...]} on one line: a job for each interpreter, or for each of its shards.

    Each job has a name, the interpreter as it was given, python-version for actions/setup-python
    ("3.x" if that action cannot install the interpreter), the preset, runs-on, its shard for
    run --shard ("1/1": all cells), and how many cells it has at most. The interpreters need not be
    on this machine.
    """
    import json

    from deadlock_matrix.app.configuration import load_configuration

    configuration = load_configuration(configuration_file, Path.cwd())
    include = jobs(configuration, interpreters, preset or "", systems, shards)
    # ASCII on one line: it is passed on through a file of "name=value" lines.
    click.echo(json.dumps({"include": include}))


def jobs(
    configuration: Configuration,
    given: Sequence[str],
    preset: str,
    systems: Sequence[str],
    shards: int = 1,
) -> list[dict[str, Any]]:
    """Return the jobs, in the order of the interpreters.

    Raises:
        ConfigurationError: An interpreter has no name, the selection is empty or names something
            that does not exist, or there are more than `MOST_JOBS`.
    """
    from deadlock_matrix.matrix.expansion import expand
    from deadlock_matrix.matrix.selection import Selection
    from deadlock_matrix.matrix.shards import divide

    for text in (*given, *systems):
        if not text.strip() or not text.isprintable():
            raise ConfigurationError(
                f"{text!r} cannot be a name here: a name is one line of text, not empty"
            )
    named = _named(configuration, given)
    selection = Selection(preset=preset or None)
    cells = expand(configuration, [each for _, each in named], selection)
    ids: dict[str, list[str]] = {each.name: [] for _, each in named}
    for cell in cells:
        ids[cell.interpreter.name].append(cell.id)
    include = [
        {
            "name": f"{each.name}-{system}" + (f"-{number}of{of}" if of > 1 else ""),
            "interpreter": text,
            "python-version": text if _VERSION.fullmatch(text) else "3.x",
            "preset": preset,
            "runs-on": system,
            "shard": f"{number}/{of}",
            "cells": sizes[number],
        }
        for text, each in named
        if (of := min(shards, len(ids[each.name])))
        for sizes in [Counter(divide(ids[each.name], of).values())]
        for system in dict.fromkeys(systems)
        for number in range(1, of + 1)
    ]
    if len(include) > MOST_JOBS:
        raise ConfigurationError(
            f"{len(include)} jobs are more than the {MOST_JOBS} that one matrix may have; name "
            "fewer interpreters, machines or shards"
        )
    return include


def _named(configuration: Configuration, given: Sequence[str]) -> list[tuple[str, Interpreter]]:
    """Return each interpreter as text, under its future name; nothing is looked for here."""
    from deadlock_matrix.matrix.axes import check_names, to_name
    from deadlock_matrix.matrix.interpreters import THIS
    from deadlock_matrix.model.cell import Interpreter

    configured = {each.name: each for each in configuration.interpreters}
    texts = list(given) or [*configured] or [THIS]
    named = []
    for text in texts:
        name, equals, _ = text.partition("=")
        own = Interpreter(name=name if equals else to_name(text))
        named.append((text, configured.get(text, own)))
    check_names("interpreter", [each for _, each in named])
    return named
