"""``deadlock-matrix report render``: a report as a page, as Markdown, as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deadlock_matrix.diagnosis.recognition.causes import Cause
    from deadlock_matrix.model.comparison import Comparison
    from deadlock_matrix.model.report import Report
    from deadlock_matrix.render.html.page import Assets

STANDARD_OUTPUT = Path("-")

_file = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--html", "html_file", type=_file, help="Write one HTML page that needs no network.")
@click.option("--markdown", "markdown_file", type=_file, help="Write Markdown, for a summary.")
@click.option("--junit", "junit_file", type=_file, help="Write JUnit XML.")
@click.option(
    "--compare",
    "base",
    type=click.Path(exists=True, path_type=Path),
    help="An earlier report: the page and the Markdown show what has changed since.",
)
@click.option(
    "--no-evidence",
    is_flag=True,
    help="Leave the evidence of cells that hung out of the page; this makes it much smaller.",
)
def render(
    path: Path,
    html_file: Path | None,
    markdown_file: Path | None,
    junit_file: Path | None,
    base: Path | None,
    no_evidence: bool,
) -> None:
    """Write the report PATH in one format or several; '-' is standard output.

    PATH is a report.json, or the folder of a run, even of a killed one.
    """
    wanted = [html_file, markdown_file, junit_file]
    if not any(wanted):
        raise click.UsageError(
            "nothing to write: give --html FILE, --markdown FILE or --junit FILE"
        )
    if wanted.count(STANDARD_OUTPUT) > 1:
        raise click.UsageError(
            "only one format can go to standard output ('-'): give a file for each of the others"
        )
    if no_evidence and html_file is None:
        raise click.UsageError(
            "--no-evidence only changes the HTML page: add --html FILE, or leave out --no-evidence"
        )
    if base is not None and html_file is None and markdown_file is None:
        raise click.UsageError(
            "--compare only changes --html and --markdown: add one of them, or leave out --compare"
        )
    from deadlock_matrix.app.reports import read_any
    from deadlock_matrix.causes import load_causes
    from deadlock_matrix.studies import load_studies

    report = read_any(path, evidence=not no_evidence).report
    earlier = read_any(base, evidence=False).report if base is not None else None
    comparison = _compare(earlier, report) if earlier is not None else None
    causes = load_causes()
    studies = load_studies()
    if html_file is not None:
        _write(html_file, _html(report, causes, earlier, comparison, evidence=not no_evidence))
    if markdown_file is not None:
        from deadlock_matrix.render.markdown import markdown

        _write(
            markdown_file, markdown(report, causes=causes, studies=studies, comparison=comparison)
        )
    if junit_file is not None:
        from deadlock_matrix.render.junit import junit

        _write(junit_file, junit(report, causes=causes))


def _compare(earlier: Report, report: Report) -> Comparison:
    from deadlock_matrix.report.compare.comparison import compare

    return compare(earlier, report)


def _html(
    report: Report,
    causes: Sequence[Cause],
    earlier: Report | None,
    comparison: Comparison | None,
    *,
    evidence: bool,
) -> str:
    from deadlock_matrix.render.html.budget import EVIDENCE_BYTES
    from deadlock_matrix.render.html.compared import Base
    from deadlock_matrix.render.html.page import html
    from deadlock_matrix.studies import load_studies

    base = None
    if earlier is not None and comparison is not None:
        base = Base(report=earlier, comparison=comparison)
    limit = EVIDENCE_BYTES if evidence else 0
    return html(
        report,
        read_assets(),
        causes=causes,
        studies=load_studies(),
        base=base,
        evidence_bytes=limit,
    )


def read_assets() -> Assets:
    """Return the files from which a page is made, out of the package."""
    from importlib.resources import files

    from deadlock_matrix.render.html.page import Assets

    folder = files("deadlock_matrix.render").joinpath("assets")

    def read(*name: str) -> str:
        return folder.joinpath(*name).read_text(encoding="utf-8")

    return Assets(
        template=read("page.html"),
        style=read("page.css"),
        script=read("page.js"),
        graphviz=read("vendor", "graphviz.js"),
    )


def _write(file: Path, text: str) -> None:
    from deadlock_matrix.report.files import write_atomically

    data = text.encode()
    if file == STANDARD_OUTPUT:
        click.echo(data, nl=False)
    else:
        write_atomically(file, data)
