"""``deadlock-matrix cells``: what a selection contains, without running it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="List the cells that a selection contains.")
@click.option(
    "--config",
    "configuration_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the axes from this file instead of the nearest pyproject.toml.",
)
@click.option("--interpreter", "interpreters", multiple=True, help="A name, a version or a path.")
@click.option("--preset", help="A selection with a name, such as 'smoke'.")
@click.option("--coverage", type=click.Choice(["full", "pairwise"]), help="Which combinations.")
@click.option("--include", multiple=True, metavar="AXIS=NAME", help="Only cells with this value.")
@click.option("--exclude", multiple=True, metavar="AXIS=NAME", help="No cells with this value.")
def command(
    configuration_file: Path | None,
    interpreters: tuple[str, ...],
    preset: str | None,
    coverage: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Print the id of every cell, one a line, in the order in which they are run."""
    from deadlock_matrix.matrix.configuration import load_configuration
    from deadlock_matrix.matrix.expansion import expand
    from deadlock_matrix.matrix.interpreters import resolve
    from deadlock_matrix.matrix.selection import Selection, parse_coverage

    configuration = load_configuration(configuration_file, Path.cwd())
    selection = Selection(
        include=include,
        exclude=exclude,
        preset=preset,
        coverage=parse_coverage(coverage) if coverage else None,
    )
    for cell in expand(configuration, resolve(interpreters, configuration), selection):
        click.echo(cell.id)
