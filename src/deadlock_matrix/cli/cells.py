"""``deadlock-matrix cells``: what a selection contains, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deadlock_matrix.cli.selecting import selecting, wanted


@click.command(short_help="List the cells that a selection contains.")
@selecting
def command(**given: Any) -> None:
    """Print the id of every cell, one per line, in the order in which they would run."""
    from deadlock_matrix.app.planning import choose_cells

    for cell in choose_cells(wanted(given, Path.cwd())):
        click.echo(cell.id)
