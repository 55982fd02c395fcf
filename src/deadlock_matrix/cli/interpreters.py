"""``deadlock-matrix interpreters``: every Python on this machine."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import click

from deadlock_matrix.cli.seconds import Seconds


@click.command(short_help="List every Python on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that was found as JSON.")
@click.option(
    "--deadline",
    "deadline_s",
    type=Seconds(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each interpreter may take to answer.",
)
@click.option(
    "--under",
    "trees",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Search this folder too, with everything below it.",
)
def command(as_json: bool, deadline_s: float, trees: tuple[Path, ...]) -> None:
    """Find every Python and say what it is, without importing its packages.

    Each is started once, and its answer is remembered until one of its files changes. One that
    does not work is listed with the reason; the exit status is 0 all the same.
    """
    from deadlock_matrix.cli.shell import check_home
    from deadlock_matrix.report.json_text import encode

    check_home()
    from deadlock_matrix.cache import cache_folder
    from deadlock_matrix.interpreters.bounded import end_descendants
    from deadlock_matrix.interpreters.discovery import discover
    from deadlock_matrix.interpreters.places import look_around
    from deadlock_matrix.model.discovery import Discovery
    from deadlock_matrix.report.host import describe_tool

    try:
        found = discover(look_around(trees), cache_folder(), deadline_s)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave some behind
        end_descendants()  # they are in sessions of their own, which the terminal does not reach
        raise
    result = Discovery(tool=describe_tool(), interpreters=found.interpreters, notes=found.notes)
    if as_json:
        document = encode(result, indent=1)
        click.echo(document)
        return
    from deadlock_matrix.render.interpreters import interpreters_text
    from deadlock_matrix.studies import load_studies

    width = min(shutil.get_terminal_size().columns, 120)
    click.echo(interpreters_text(result, width, colour=sys.stdout.isatty(), studies=load_studies()))
