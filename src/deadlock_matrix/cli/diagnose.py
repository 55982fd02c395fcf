"""``deadlock-matrix diagnose``: why a package hangs, and what helps, in minutes at most."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.errors import ExitStatus

if TYPE_CHECKING:
    from deadlock_matrix.model.diagnosis import Diagnosis, Target

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
REPORT = "bug-report.md"
DIAGNOSIS = "diagnosis.json"


@click.command(short_help="Find out why a package hangs, and what helps.")
@click.argument("words", nargs=-1, metavar="[MODULE | -- ARGUMENT...]")
@click.option("--statement", default="", metavar="CODE", help="Execute this instead of an import.")
@click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Run this file instead; ARGUMENTs are its own.")  # fmt: skip
@click.option("--python", default="", metavar="EXE", help="The interpreter to run it with: a path, "
              "a command or a version. Without it, the python on PATH.")  # fmt: skip
@click.option("--path", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The folder to look for modules in first. Without it, this folder.")  # fmt: skip
@click.option("--layout", "layouts", multiple=True, metavar="NAME=FOLDER",
              help="Another arrangement of the package, to try as a remedy.")  # fmt: skip
@click.option("--context", default="", metavar="NAME", help="Call it only from this context.")
@click.option("--repeat", type=click.IntRange(min=1, max=100_000), default=10,
              metavar="N", show_default=True,
              help="How often to run it until it hangs.")  # fmt: skip
@click.option("--perturb", is_flag=True,
              help="Also run it with rapid thread switches, and on one core.")  # fmt: skip
@click.option("--load", is_flag=True, help="Keep every core busy during the runs.")
@click.option("--deadline", "deadline_s", type=Seconds(), default=30.0,
              metavar="S", show_default=True, help="Seconds for one run.")  # fmt: skip
@click.option("--budget", "budget_s", type=Seconds(), default=50.0,
              metavar="S", show_default=True, help="Seconds after which no new "
              "run starts.")  # fmt: skip
@click.option(
    "--json", "json_file", type=FILE, help="Write everything that was found to this file."
)
@click.option("--output", "output", type=FOLDER, help="The folder for the bug report and the "
              "reproducer. Without it, reports/diagnosis-NAME.")  # fmt: skip
def command(
    words: tuple[str, ...],
    statement: str,
    script: Path | None,
    python: str,
    path: Path | None,
    layouts: tuple[str, ...],
    context: str,
    repeat: int,
    perturb: bool,
    load: bool,
    deadline_s: float,
    budget_s: float,
    json_file: Path | None,
    output: Path | None,
) -> None:
    """Run an import of MODULE under watch; if it hangs, say why, and try what helps.

    Exit status: 0 when it does not hang, 35 when a deadlock was proved, 124 when it hangs or is
    slow and nothing was proved, 1 when it fails by itself, 125 when the tool failed or
    the interpreter cannot be used.
    """
    from deadlock_matrix.cli.shell import check_home
    from deadlock_matrix.cli.targets import Asked, make_target
    from deadlock_matrix.matrix.axes import to_name
    from deadlock_matrix.matrix.configuration import load_configuration
    from deadlock_matrix.run.load import Load

    check_home()
    asked = Asked(
        words=words,
        statement=statement,
        script=script,
        path=path,
        layouts=layouts,
        python=python,
        context=context,
        repeat=repeat,
        deadline_s=deadline_s,
        budget_s=budget_s,
        perturb=perturb,
    )
    here = Path.cwd()
    target = make_target(asked, load_configuration(None, here), here)
    folder = output or here / "reports" / f"diagnosis-{to_name(target.name)}"
    _check_writable(folder, json_file)
    with Load(load):
        status = _diagnose(target, folder, json_file, wanted=output is not None)
    sys.exit(status)


def _check_writable(folder: Path, json_file: Path | None) -> None:
    """Find out before the first run, not after all of them, whether there is room for a result."""
    from deadlock_matrix.errors import ReportError
    from deadlock_matrix.report.files import check_writable

    try:
        check_writable(folder / REPORT)
    except ReportError as error:
        raise ReportError(f"{error}; --output DIRECTORY names another folder") from error
    if json_file is not None:
        check_writable(json_file)


def _diagnose(target: Target, folder: Path, json_file: Path | None, *, wanted: bool) -> int:
    from deadlock_matrix.cache import cache_folder
    from deadlock_matrix.causes import load_causes
    from deadlock_matrix.cli.diagnosis import Case
    from deadlock_matrix.interpreters.identity import identify
    from deadlock_matrix.render.diagnosis import diagnosis_text
    from deadlock_matrix.run.experiment import Experiment

    cache = cache_folder()
    with _Progress() as progress, tempfile.TemporaryDirectory(prefix="diagnosis-") as scratch:
        progress.tell(f"what is {target.interpreter.executable}?")
        facts = identify(target.interpreter, cache)
        causes = load_causes()
        with Experiment(
            cache,
            Path(scratch),
            fingerprint=facts.fingerprint,
            budget_s=target.budget_s,
            tell=progress.tell,
        ) as experiment:
            found = Case(target, facts, causes, experiment).diagnose(folder)
    written = _write(found, folder, json_file, wanted=wanted)
    width = min(shutil.get_terminal_size().columns, 100)
    click.echo(diagnosis_text(found, written, width))
    return _status(found)


def _write(
    found: Diagnosis, folder: Path, json_file: Path | None, *, wanted: bool
) -> tuple[str, ...]:
    """Write what was asked for, and for a hang always a bug report; returns what was written."""

    from deadlock_matrix.render.bug_report import bug_report
    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.json_text import encode
    from deadlock_matrix.report.private import make_redaction

    # Both are made to be handed on; the reproducer is run here, and has its real paths.
    public = make_redaction(None).apply(found)
    document = encode(public, indent=1)
    written = []
    if found.reproducer is not None or wanted:
        for name, data in (
            (REPORT, bug_report(public).encode()),
            (DIAGNOSIS, document),
        ):
            write_atomically(folder / name, data)
            written.append(str(folder / name))
    if found.reproducer is not None:
        written.append(str(folder / "reproducer.py"))
    if json_file is not None:
        write_atomically(json_file, document)
        written.append(str(json_file))
    return tuple(written)


def _status(found: Diagnosis) -> int:
    from deadlock_matrix.model.diagnosis import Outcome

    return {
        Outcome.CLEAN: ExitStatus.OK,
        Outcome.DEADLOCK: ExitStatus.DEADLOCK,
        Outcome.HANG: ExitStatus.TIMEOUT,
        Outcome.SLOW: ExitStatus.TIMEOUT,
        Outcome.UNAVAILABLE: ExitStatus.TOOL_FAILED,  # nothing was run, so nothing was found out
    }.get(found.outcome, ExitStatus.FAILED)


class _Progress:
    """One line that changes, where somebody watches; a line each, where it goes into a file."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()

    def tell(self, text: str) -> None:
        """Show what is being done now."""
        line = f"{time.monotonic() - self._began:5.1f} s  {text}"
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r{line[:width]:<{width}}", nl=False, err=True)
        else:
            click.echo(line, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r{'':<{width}}\r", nl=False, err=True)
