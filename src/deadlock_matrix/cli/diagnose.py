"""``deadlock-matrix diagnose``: why a package hangs, and what helps, in minutes at most."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.errors import ExitStatus

if TYPE_CHECKING:
    from deadlock_matrix.model.diagnosis import Diagnosis, Target

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
REPORT = "bug-report.md"
REPRODUCER = "reproducer.py"
DIAGNOSIS = "diagnosis.json"
TIMES = "import-times.html"
SAME_EVERY_S = 10.0
"""How often to say, in a file, that a run is still in the same place."""


@click.command(short_help="Find out why a package hangs, and what helps.")
@click.argument("words", nargs=-1, metavar="[MODULE | -- ARGUMENT...]")
@click.option("--statement", default="", metavar="CODE", help="Execute this instead of an import.")
@click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Run this file instead; ARGUMENTs are its own.")  # fmt: skip
@click.option("--python", "pythons", multiple=True, metavar="EXE",
              help="The interpreter to run it with: a path, a command or a version. Without it, "
                   "the python on PATH. May be repeated: the others are used to look for a hang "
                   "too.")  # fmt: skip
@click.option("--path", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The folder to look for modules in first. "
                   "Without it, the current folder.")  # fmt: skip
@click.option("--layout", "layouts", multiple=True, metavar="NAME=FOLDER",
              help="Another arrangement of the package, to try as a remedy.")  # fmt: skip
@click.option("--context", default="", metavar="NAME", help="Call it only from this context.")
@click.option("--repeat", type=click.IntRange(min=1, max=100_000), metavar="N",
              help="How many runs to make, at most, to find a hang. Without it: 10, or 1 if a run "
                   "takes long.")  # fmt: skip
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
    pythons: tuple[str, ...],
    path: Path | None,
    layouts: tuple[str, ...],
    context: str,
    repeat: int | None,
    perturb: bool,
    load: bool,
    deadline_s: float,
    budget_s: float,
    json_file: Path | None,
    output: Path | None,
) -> None:
    """Import MODULE under watch. If it hangs, say why, and measure what helps.

    Exit status: 0 when it does not hang, 35 when a deadlock was proved, 124 when it hangs or is
    slow and nothing was proved, 1 when it fails by itself, 74 when the answer cannot be written,
    125 when the tool failed or the interpreter cannot be used.
    """
    from deadlock_matrix.app.configuration import load_configuration
    from deadlock_matrix.app.extras import DIAGNOSE, check_extra
    from deadlock_matrix.app.targets import Asked, make_target
    from deadlock_matrix.cli.shell import check_home
    from deadlock_matrix.matrix.axes import to_name
    from deadlock_matrix.run.load import Load

    check_home()
    check_extra("diagnose", DIAGNOSE)
    asked = Asked(
        words=words,
        statement=statement,
        script=script,
        path=path,
        layouts=layouts,
        pythons=pythons,
        context=context,
        repeat=repeat,
        deadline_s=deadline_s,
        budget_s=budget_s,
        perturb=perturb,
    )
    here = Path.cwd()
    target = make_target(asked, load_configuration(None, here), here)
    folder = output or here / "reports" / f"diagnosis-{to_name(target.name)}"
    _warn_unless_writable(folder, json_file)
    with Load(load):
        status = _diagnose(target, folder, json_file, wanted=output is not None)
    sys.exit(status)


def _warn_unless_writable(folder: Path, json_file: Path | None) -> None:
    """Say before the first run, not after all of them, that a result cannot be written.

    That is no reason to give no answer: it is printed.
    """
    from deadlock_matrix.errors import ReportError
    from deadlock_matrix.report.files import check_writable

    for path in (folder / REPORT, json_file):
        try:
            if path is not None:
                check_writable(path)
        except ReportError as error:
            click.echo(f"{error}; --output DIRECTORY names another folder", err=True)


def _diagnose(target: Target, folder: Path, json_file: Path | None, *, wanted: bool) -> int:
    from deadlock_matrix.app.diagnose import diagnose_target
    from deadlock_matrix.errors import ReportError
    from deadlock_matrix.render.diagnosis import diagnosis_text

    with _Progress() as progress:
        interrupts = _Interrupts(progress)
        try:
            found = diagnose_target(target, progress.tell, interrupts.catch)
        finally:
            interrupts.release()
    width = min(shutil.get_terminal_size().columns, 100)
    click.echo(diagnosis_text(found, width))
    try:
        for path in _write(found, folder, json_file, wanted=wanted):
            click.echo(f"written: {path}")
    except ReportError as error:
        click.echo(f"not written: {error}", err=True)
        return ExitStatus.NOT_WRITTEN
    status = _status(found)
    if interrupts.caught and status != ExitStatus.DEADLOCK:
        return ExitStatus.INTERRUPTED
    return status


class _Interrupts:
    """The first Ctrl-C ends the runs, so that what is known is shown; a second one ends all."""

    def __init__(self, progress: _Progress) -> None:
        self._progress = progress
        self._before: Any = None
        self.caught = False

    def catch(self, interrupt: Callable[[], None]) -> None:
        """Have the next SIGINT call ``interrupt``, unless our caller ignores it."""
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return

        def handle(number: int, frame: FrameType | None) -> None:
            self.release()
            self.caught = True
            interrupt()
            self._progress.tell(
                "stopping, to print what is known so far; Ctrl-C again stops at once"
            )

        self._before = signal.signal(signal.SIGINT, handle)

    def release(self) -> None:
        """Give SIGINT back to whoever had it."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def _write(
    found: Diagnosis, folder: Path, json_file: Path | None, *, wanted: bool
) -> Iterator[str]:
    """Write what was requested, and for a hang always a bug report; say what was written.

    Raises:
        ReportError: There is no room, or the folder is not ours.
    """

    from deadlock_matrix.render.bug_report import bug_report
    from deadlock_matrix.render.times import times_page
    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.json_text import encode
    from deadlock_matrix.report.private import make_redaction

    # Both are made to be shared; the reproducer is run here, and has its real paths.
    public = make_redaction(None).apply(found)
    document = encode(public, indent=1)
    files: dict[Path, bytes] = {}
    if found.stuck or found.times is not None or found.reproducer is not None or wanted:
        files[folder / REPORT] = bug_report(public).encode()
        files[folder / DIAGNOSIS] = document
    if found.times is not None:
        files[folder / TIMES] = times_page(public).encode()
    if found.reproducer is not None:
        files[folder / REPRODUCER] = found.reproducer.text.encode()
    if json_file is not None:
        files[json_file] = document
    for path, data in files.items():
        write_atomically(path, data)
        yield str(path)


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
    """One line that changes, if somebody watches; a line each, if it goes into a file."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()
        self._said, self._said_s = "", 0.0

    def tell(self, text: str) -> None:
        """Show what is being done now."""
        now = time.monotonic()
        same = re.sub(r"\d+ s\b", "", text)
        if not self._live and same == self._said and now - self._said_s < SAME_EVERY_S:
            return
        self._said, self._said_s = same, now
        line = f"{now - self._began:5.1f} s  {text}"
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
