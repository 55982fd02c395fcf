"""``deadlock-matrix run``: the matrix, by pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from deadlock_matrix.errors import Unavailable

_PACKAGE = Path(__file__).resolve().parent.parent
SUITES = (_PACKAGE / "suite", _PACKAGE.parent.parent / "tests" / "matrix")
"""Where the import tests lie: in an installed package, in a checkout."""


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run the matrix.",
)
@click.option(
    "--config",
    "configuration",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the axes from this file instead of the nearest pyproject.toml.",
)
@click.argument("arguments", nargs=-1, metavar="[-- PYTEST-OPTION...]")
def command(configuration: Path | None, arguments: tuple[str, ...]) -> None:
    """Run every selected cell in a fresh process and write a report.

    Other arguments go to pytest: --interpreter, --profile, --layout, --entry, --context, --preset
    and --coverage choose cells; -k, -x and -n do what they always do.

    Exit status: 0 if the run is complete, its controls are right and all cells are as expected; 1
    if some cells are not; 69 if no cell could be run; 70 if controls failed or were not run; 74 if
    results could not be written; 75 if some cells have no result; 130 if interrupted; 3, 4 and 5
    as for pytest.
    """
    suite = next((folder for folder in SUITES if folder.is_dir()), None)
    if suite is None:
        raise Unavailable(f"the import tests are not in {SUITES[0]}: install deadlock-matrix again")
    switch = f"--deadlock-matrix={configuration}" if configuration else "--deadlock-matrix"
    workers = () if any(part.startswith("-n") for part in arguments) else ("-n", "auto")
    own = ("-p", "no:cacheprovider", "--rootdir", str(Path.cwd()), "-c", os.devnull)
    # In a process of its own: pytest wants to load the plugin by itself. It gets the terminal's
    # Ctrl-C too; a handler, unlike an ignored signal, is not passed on to it.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    command = [sys.executable, "-m", "pytest", str(suite), switch, *workers, *own, *arguments]
    with subprocess.Popen(command) as pytest:
        _hand_on(pytest)
        status = pytest.wait()
    sys.exit(status)


def _hand_on(pytest: subprocess.Popen[bytes]) -> None:
    """Make a request to end one that pytest understands: it stops, and writes what it has."""

    def interrupt(number: int, frame: object) -> None:
        pytest.send_signal(signal.SIGINT)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
