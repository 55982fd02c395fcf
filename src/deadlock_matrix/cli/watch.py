"""``deadlock-matrix watch``: run any command under the watchdog."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus, StartError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import Exited, Signalled
from deadlock_matrix.model.verdict import Judgement

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
    help="Write what was found to this file.",
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
    executable = shutil.which(arguments[0])
    if executable is None:
        exists = Path(arguments[0]).exists()
        problem = "is not executable" if exists else "was not found"
        click.echo(f"deadlock-matrix: {arguments[0]} {problem}", err=True)
        sys.exit(NOT_EXECUTABLE if exists else NOT_FOUND)
    try:
        if json_file is not None:
            from deadlock_matrix.report.files import check_writable

            check_writable(json_file)  # before the command runs, not after it has hung for an hour
        status = _watch(
            (executable, *arguments[1:]),
            timeout_s,
            json_file,
            likely=likely,
            proof=proof,
            all_frames=all_frames,
            keep=keep,
            include_host=include_host,
        )
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
    from deadlock_matrix.run.process import Order, open_supervisor

    if sys.platform == "linux":
        from deadlock_matrix.run.subreaper import adopt_orphans

        adopt_orphans()
    released = False
    supervisor = open_supervisor()  # its helper starts while we import the rest
    try:
        from deadlock_matrix.capture.collector import open_collector
        from deadlock_matrix.render.inspection import View
        from deadlock_matrix.run.watchdog import Watchdog

        view = View(proof=proof, all_frames=all_frames)

        def tell(evidence: Evidence, judgement: Judgement) -> None:
            from deadlock_matrix.app.inspection import of_living_command
            from deadlock_matrix.cli import findings

            found = of_living_command(arguments, judgement, evidence)
            shown = replace(view, source=findings.read_source(collector, evidence))
            findings.tell(found, json_file, shown, include_host=include_host)

        interrupts = _Interrupts()
        further = _inherited_descriptors()
        pid = supervisor.start(
            Order(
                command=arguments,
                environment=_environment(),
                folder=Path.cwd(),
                streams=(0, 1, 2),
                further=further,
                new_session=False,
                may_outlive=keep,
            )
        )
        for descriptor in further:  # an end of a pipe is the command's alone
            os.close(descriptor)
        interrupts.pid = pid
        collector = open_collector()
        try:
            watched = Watchdog(
                supervisor,
                collector,
                pid,
                timeout_s,
                stop=interrupts.want_end,
                tell=tell,
                end_likely=likely,
            ).watch()
            if isinstance(watched.evidence, Known):
                from deadlock_matrix.cli.findings import read_source

                view = replace(view, source=read_source(collector, watched.evidence.value))
        finally:
            collector.close()
        if isinstance(watched.end, Exited | Signalled):
            supervisor.release()  # what it left running in the background is its own affair
            released = True
            return _status(watched.end)
        if watched.end.reason == "interrupted":
            supervisor.end()
            return 128 + interrupts.number
        from deadlock_matrix.app.inspection import of_command
        from deadlock_matrix.cli.findings import show

        if keep:
            supervisor.release()
            released = True
        else:
            supervisor.end()  # at once: it takes a while to say what was found
        found = of_command(watched, arguments)
        show(found, json_file, view, to_stderr=True, include_host=include_host)
        if keep:
            click.echo(f"left as it is: process {pid}", err=True)
        if watched.end.reason == "likely":
            return ExitStatus.LIKELY
        return ExitStatus.DEADLOCK if found.verdict == "deadlock" else ExitStatus.TIMEOUT
    finally:
        supervisor.close()
        if sys.platform == "linux" and not released:
            from deadlock_matrix.run.subreaper import end_orphans

            end_orphans()


def _inherited_descriptors() -> tuple[int, ...]:
    """The descriptors above 2 that we inherited for the command; our own are closed on exec."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        return ()
    found = []
    for number in sorted(numbers):
        with contextlib.suppress(OSError):  # the listing's own is closed again
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return tuple(found)


def _environment() -> dict[str, str]:
    """Our environment, without the LC_CTYPE that Python sets in the C locale (PEP 538)."""
    environment = dict(os.environ)
    try:
        given = Path("/proc/self/environ").read_bytes()
    except OSError:
        return environment
    if given and not any(each.startswith(b"LC_CTYPE=") for each in given.split(b"\0")):
        environment.pop("LC_CTYPE", None)
    return environment


def _status(end: Exited | Signalled) -> int:
    return end.status if isinstance(end, Exited) else 128 + end.signal


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
        """Whether to end the command now."""
        return self.number != 0 and time.monotonic() >= self._since
