"""``deadlock-matrix report merge``: shards and platforms into one report."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write report.json into.",
)
def merge(paths: tuple[Path, ...], folder: Path) -> None:
    """Merge the reports PATHS into one.

    If several have the same cell, each result is kept, as a repeat. Different interpreters with
    the same name get different names.
    """
    from deadlock_matrix.app.reports import read_any
    from deadlock_matrix.diagnosis.text import count
    from deadlock_matrix.errors import ReportError
    from deadlock_matrix.report.host import describe_tool
    from deadlock_matrix.report.merge import merge as put_together
    from deadlock_matrix.report.plan import REPORT_FILE
    from deadlock_matrix.report.side_files import SideFiles
    from deadlock_matrix.report.store import write_report

    if (folder / REPORT_FILE).exists():
        raise ReportError(f"{folder} already holds a report: name another folder, or remove it")
    reports = [read_any(path, evidence=False, shelve=True).report for path in paths]
    report = put_together(reports, describe_tool())
    side_files = SideFiles(folder)
    for path, part in zip(paths, reports, strict=True):
        for result in (*part.cells, *part.controls):
            side_files.adopt(result, path if path.is_dir() else path.parent)
    path = write_report(report, folder)
    for note in report.notes:
        click.echo(note, err=True)
    hosts = {(host.system, host.machine) for host in report.hosts}
    click.echo(
        f"{path}: {len(report.cells)} results and {len(report.controls)} controls of "
        f"{count(len(report.merged), 'run')} on {', '.join(sorted(map(' '.join, hosts)))}"
    )
