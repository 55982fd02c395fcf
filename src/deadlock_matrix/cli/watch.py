"""``deadlock-matrix watch``: run any command under the watchdog."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.cli.shell import collect_garbage_rarely
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus, NotFound, StartError
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import End, Exited, Signalled, Stopped

if TYPE_CHECKING:
    from deadlock_matrix.capture.collector import Collector
    from deadlock_matrix.model.evidence import Evidence
    from deadlock_matrix.model.inspection import Inspection
    from deadlock_matrix.model.verdict import Judgement
    from deadlock_matrix.render.inspection import View
    from deadlock_matrix.run.process import Order
    from deadlock_matrix.run.watchdog import Watched

NOT_EXECUTABLE = 126
NOT_FOUND = 127


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run a command and end it when a deadlock is proved.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(),
    metavar="SECONDS",
    help="End the command after this time. Without it, only a proved deadlock does.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what was found to this file, and how the command ended.",
)
@click.option(
    "--include-host",
    is_flag=True,
    help="Leave home directories and the names of user and host in the JSON.",
)
@click.option(
    "--likely",
    is_flag=True,
    help="End the command for a likely deadlock too: one that rests on assumptions, which the "
    "answer names.",
)
@click.option("--proof", is_flag=True, help="Show the steps of the proof, and where each was read.")
@click.option("--all-frames", is_flag=True, help="Show every frame of every thread; fold nothing.")
@click.option("--keep", is_flag=True, help="Leave a hung command as it is, for a debugger.")
@click.argument("arguments", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
def command(
    timeout_s: float | None,
    json_file: Path | None,
    include_host: bool,
    likely: bool,
    proof: bool,
    all_frames: bool,
    keep: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run COMMAND with the same standard input, output and error, and watch it from outside.

    If only some threads are deadlocked, or a deadlock is only likely, print that at once and let
    the command go on.

    Exit status: the command's own (128 plus the number of the signal that ended it); 35 if a
    deadlock was proved; 36 if the command was ended for a likely deadlock; 124 if its time was up;
    125 if the tool failed; 126 or 127 if the command cannot be executed or found.
    """
    try:
        if json_file is not None:
            from deadlock_matrix.report.files import check_writable

            check_writable(json_file)  # before the command runs, not after it has hung for an hour
        status = _watch(
            arguments,
            timeout_s,
            json_file,
            likely=likely,
            proof=proof,
            all_frames=all_frames,
            keep=keep,
            include_host=include_host,
        )
    except NotFound:
        click.echo(f"deadlock-matrix: {arguments[0]} was not found", err=True)
        status = NOT_FOUND
    except StartError as error:
        click.echo(f"deadlock-matrix: {error}", err=True)
        status = NOT_EXECUTABLE
    except DeadlockMatrixError as error:
        click.echo(f"deadlock-matrix: {error}", err=True)
        status = ExitStatus.TOOL_FAILED
    sys.exit(status)


def _watch(
    arguments: tuple[str, ...],
    timeout_s: float | None,
    json_file: Path | None,
    *,
    likely: bool,
    proof: bool,
    all_frames: bool,
    keep: bool,
    include_host: bool,
) -> int:
    from deadlock_matrix.app.watch import watch_command
    from deadlock_matrix.run.process import Order

    collect_garbage_rarely()
    if sys.platform == "linux":
        from deadlock_matrix.run.subreaper import adopt_orphans

        adopt_orphans()
    order = Order(
        command=arguments,
        environment=_environment(),
        folder=Path.cwd(),
        streams=(0, 1, 2),
        further=_inherited_descriptors(),
        new_session=False,
        may_outlive=keep,
    )
    onlooker = _Onlooker(order, _Answer(json_file, proof, all_frames, include_host))
    try:
        watched = watch_command(order, onlooker, timeout_s=timeout_s, likely=likely)
    finally:
        if sys.platform == "linux" and not onlooker.released:
            from deadlock_matrix.run.subreaper import end_orphans

            end_orphans()
    if isinstance(watched.end, Exited | Signalled) or watched.end.reason == "interrupted":
        if json_file is not None:
            from deadlock_matrix.app.inspection import of_ended_command
            from deadlock_matrix.cli.findings import write

            ended = of_ended_command(watched, arguments, onlooker.told)
            write(ended, json_file, include_host=include_host)
        return _status(watched.end, onlooker.interrupts.number)
    from deadlock_matrix.app.inspection import of_command
    from deadlock_matrix.cli.findings import show

    found = of_command(watched, arguments)
    view = onlooker.view(onlooker.source)
    show(found, json_file, view, to_stderr=True, include_host=include_host)
    if keep:
        click.echo(f"left as it is, for a debugger: process {onlooker.interrupts.pid}", err=True)
    if watched.end.reason == "likely":
        return ExitStatus.LIKELY
    return ExitStatus.DEADLOCK if found.verdict == "deadlock" else ExitStatus.TIMEOUT


class _Answer(NamedTuple):
    """How the command wants to be answered."""

    json_file: Path | None
    proof: bool
    all_frames: bool
    include_host: bool


class _Onlooker:
    """Reports on standard error what is stuck; see `deadlock_matrix.app.watch.Onlooker`."""

    def __init__(self, order: Order, answer: _Answer) -> None:
        self._order = order
        self._answer = answer
        self.interrupts = _Interrupts()
        self.released = False
        self.told: Inspection | None = None
        self.source: Mapping[tuple[str, int], str] = {}

    def view(self, source: Mapping[tuple[str, int], str]) -> View:
        """Return what to show, with these source lines."""
        from deadlock_matrix.render.inspection import View

        return View(proof=self._answer.proof, all_frames=self._answer.all_frames, source=source)

    def started(self, pid: int) -> None:
        for descriptor in self._order.further:  # only the command may have an end of a pipe
            os.close(descriptor)
        self.interrupts.pid = pid

    def wants_end(self) -> bool:
        return self.interrupts.want_end()

    def found_stuck(self, collector: Collector, evidence: Evidence, judgement: Judgement) -> None:
        from deadlock_matrix.app.inspection import of_living_command
        from deadlock_matrix.cli import findings

        found = of_living_command(self._order.command, judgement, evidence)
        shown = self.view(findings.read_source(collector, evidence))
        self.told = found
        include_host = self._answer.include_host
        findings.tell(found, self._answer.json_file, shown, include_host=include_host)

    def ended(self, collector: Collector, watched: Watched) -> None:
        if isinstance(watched.evidence, Known):
            from deadlock_matrix.cli.findings import read_source

            self.source = read_source(collector, watched.evidence.value)

    def lets_go_on(self, watched: Watched) -> bool:
        # What a command leaves running in the background when it ends is its own affair.
        keep = self._order.may_outlive and watched.end != Stopped(reason="interrupted")
        self.released = keep or isinstance(watched.end, Exited | Signalled)
        return self.released


def _inherited_descriptors() -> tuple[int, ...]:
    """Return the descriptors above 2 inherited for the command; ours are closed on exec."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        return ()
    found = []
    for number in sorted(numbers):
        with contextlib.suppress(OSError):  # the listing's own is already closed
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return tuple(found)


def _environment() -> dict[str, str]:
    """Return our environment, without the LC_CTYPE that Python sets in the C locale (PEP 538)."""
    environment = dict(os.environ)
    try:
        given = Path("/proc/self/environ").read_bytes()
    except OSError:
        return environment
    if given and not any(each.startswith(b"LC_CTYPE=") for each in given.split(b"\0")):
        environment.pop("LC_CTYPE", None)
    return environment


def _status(end: End, interrupt: int = 0) -> int:
    match end:
        case Exited(status=status):
            return status
        case Signalled(signal=number):
            return 128 + number
    return 128 + interrupt


class _Interrupts:
    """Requests to end. After the first, the command has a moment to end itself; a second is final.

    A Ctrl-C in a terminal reaches the command by itself; other signals are passed on.
    """

    GRACE_S = 2.0

    def __init__(self) -> None:
        self.number = 0
        self.pid = 0
        self._since = 0.0
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        again = self.number != 0
        self.number = number
        self._since = time.monotonic() + (0.0 if again else self.GRACE_S)
        if self.pid and number != signal.SIGINT:
            with contextlib.suppress(OSError):  # it is ending
                os.kill(self.pid, number)

    def want_end(self) -> bool:
        """Return whether to end the command now."""
        return self.number != 0 and time.monotonic() >= self._since
