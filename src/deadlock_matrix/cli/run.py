"""``deadlock-matrix run``: the matrix, by pytest."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from deadlock_matrix.cache import cache_folder
from deadlock_matrix.cli.run_again import OWN_ARGUMENTS_END, SWITCH, chosen_before
from deadlock_matrix.cli.selecting import as_arguments, selecting
from deadlock_matrix.errors import Unavailable

_PACKAGE = Path(__file__).resolve().parent.parent
SUITES = (_PACKAGE / "suite", _PACKAGE.parent.parent / "tests" / "matrix")
"""Where the import tests are: in an installed package, in a checkout."""


class _Command(click.Command):
    """Its help also has pytest's options for a run; pytest itself need not be installed."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from deadlock_matrix.app import run_options

        super().format_options(context, formatter)
        own = {option for parameter in self.params for option in parameter.opts}
        rows = [row for row in run_options.described() if row[0].split(" ")[0] not in own]
        with formatter.section("Options of the run"):
            formatter.write_dl(rows)


@click.command(
    cls=_Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run the matrix.",
)
@selecting
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST-OPTION...]")
def command(arguments: tuple[str, ...], **given: Any) -> None:
    """Run every selected cell in a fresh process and write a report.

    Other arguments go to pytest, which runs the cells: -k, -x and --lf work as usual. --jobs N
    runs N cells at once; -n N does it with pytest-xdist.

    --resume REPORT continues a run that was killed or interrupted, in its folder and, unless you
    choose cells, with its cells. With --rerun not-ok, hung or unexpected, or --only-changed, it
    begins a new run that reuses the results that still hold. --fail-fast stops at the first cell
    that is not as expected; --events FILE writes what happens as lines of JSON.

    Exit status: 0 if the run is complete, its controls are right and all cells are as expected; 1
    if some cells are not; 69 if no cell could be run; 70 if controls failed or were not run; 74 if
    results could not be written; 75 if some cells have no result; 130 if interrupted; 3, 4 and 5
    as for pytest.
    """
    from deadlock_matrix.app.extras import MATRIX, check_extra

    check_extra("matrix", MATRIX)
    suite = next((folder for folder in SUITES if folder.is_dir()), None)
    if suite is None:
        raise Unavailable(f"the import tests are not in {SUITES[0]}: reinstall deadlock-matrix")
    file = given["config"]
    switch = f"{SWITCH}={file}" if file else SWITCH
    arguments = (*as_arguments(given), *arguments)
    if (earlier := chosen_before(arguments)) is not None:
        switch = switch if file else earlier.switch
        arguments = (*earlier.arguments, *arguments)
    parallel = any(part.startswith(("-n", "--jobs", "--dask")) for part in arguments)
    workers = () if parallel else ("--jobs=auto",)
    own = ("-o", f"cache_dir={_cache()}", "--rootdir", str(Path.cwd()), *OWN_ARGUMENTS_END)
    # In a separate process: pytest wants to load the plugin by itself. It gets the terminal's
    # Ctrl-C too; a handler, unlike an ignored signal, is not inherited by it.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    command = [sys.executable, "-m", "pytest", str(suite), switch, *workers, *own, *arguments]
    with subprocess.Popen(command, **_tied()) as pytest:
        _hand_on(pytest)
        status = pytest.wait()
    sys.exit(status)


def _cache() -> Path:
    """Return where pytest keeps, for ``--lf``, which cells failed: outside the project."""
    here = hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:16]
    return cache_folder() / "pytest" / here


def _tied() -> dict[str, Any]:
    """Return how to start a process that ends, with all it has started, if this one is killed."""
    if sys.platform != "linux":
        return {}
    from functools import partial

    from deadlock_matrix.run.subreaper import end_with_parent

    return {"preexec_fn": partial(end_with_parent, os.getpid())}


def _hand_on(pytest: subprocess.Popen[bytes]) -> None:
    """Turn a request to end into one that pytest understands: it stops, and writes what it has."""

    def interrupt(number: int, frame: object) -> None:
        pytest.send_signal(signal.SIGINT)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
