"""``deadlock-matrix report``: look at a report that a run has written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from deadlock_matrix.cli.report_compare import compare
from deadlock_matrix.cli.report_merge import merge
from deadlock_matrix.cli.report_render import render
from deadlock_matrix.cli.report_validate import validate


@click.group(short_help="Show, merge, compare and check reports.")
def command() -> None:
    """Work with the reports that runs write."""


@command.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def show(path: Path) -> None:
    """Print the report PATH: a report.json, or the folder of a run, even of a killed one.

    The exit status is that of the run: 0 only if it is complete, its controls are right and
    nothing in it is unexpected.
    """
    from deadlock_matrix.app.reports import read_any
    from deadlock_matrix.causes import load_causes
    from deadlock_matrix.render.terminal import text
    from deadlock_matrix.report.decoding import collector_off
    from deadlock_matrix.report.outcome import EXIT_STATUS
    from deadlock_matrix.studies import load_studies

    width = min(shutil.get_terminal_size().columns, 120)
    with collector_off():
        report = read_any(path, evidence=True).report
        shown = text(
            report,
            width,
            colour=sys.stdout.isatty(),
            causes=load_causes(),
            studies=load_studies(),
        )
    click.echo(shown)
    sys.exit(EXIT_STATUS[report.outcome])


@command.command()
def schema() -> None:
    """Print the JSON Schema of a report."""
    import json

    from deadlock_matrix.report.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


command.add_command(compare)
command.add_command(merge)
command.add_command(render)
command.add_command(validate)
