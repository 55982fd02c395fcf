"""``deadlock-matrix report compare``: before and after, and a gate for continuous integration."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deadlock_matrix.errors import ExitStatus

if TYPE_CHECKING:
    from deadlock_matrix.model.comparison import Comparison, GateResult


@click.command()
@click.argument("base", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
@click.option("--gate", "gated", is_flag=True, help="Exit with 1 if something got worse.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything to this file; '-' is standard output, instead of the text.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with [gate]; by default the nearest pyproject.toml with a configuration.",
)
def compare(
    base: Path, new: Path, gated: bool, json_file: Path | None, config_file: Path | None
) -> None:
    """Show what changed from the report BASE to the report NEW.

    With --gate, the exit status is 1 if there is a change of a kind that fails the gate, unless the
    configuration expects it.
    """
    from datetime import UTC, datetime

    from deadlock_matrix.app.reports import read_any
    from deadlock_matrix.matrix.configuration import load_gate
    from deadlock_matrix.report.compare import comparison as comparing
    from deadlock_matrix.report.gate import check_comparable, check_versions, judge

    if config_file is not None and not gated:
        raise click.UsageError(
            "--config only says what fails the gate: add --gate, or leave out --config"
        )
    gate = load_gate(config_file, Path.cwd()) if gated else None
    before, after = read_any(base, evidence=False), read_any(new, evidence=False)
    if gate is not None:
        check_comparable(before.report, after.report)
        check_versions(before.schema_version, after.schema_version)
    comparison = comparing.compare(before.report, after.report)
    result = None if gate is None else judge(comparison, gate, datetime.now(UTC).date())
    _show(comparison, result, json_file)
    if result is not None and not result.passed:
        sys.exit(ExitStatus.FAILED)


def _show(comparison: Comparison, gate: GateResult | None, json_file: Path | None) -> None:

    from deadlock_matrix.model.comparison import ComparisonDocument
    from deadlock_matrix.render.comparison import comparison_text
    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.host import describe_tool
    from deadlock_matrix.report.json_text import encode

    if json_file is not None:
        document = ComparisonDocument(tool=describe_tool(), comparison=comparison, gate=gate)
        data = encode(document, indent=1, order="deterministic")
        if str(json_file) == "-":
            click.echo(data)
            return
        write_atomically(json_file, data + b"\n")
    width = min(shutil.get_terminal_size().columns, 120)
    click.echo(comparison_text(comparison, gate, width, colour=sys.stdout.isatty()))
