"""``deadlock-matrix scan``: every Python process that may be read."""

from __future__ import annotations

import shlex
import sys
import time

import click

from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.errors import ConfigurationError, ExitStatus, Unavailable
from deadlock_matrix.model.scan import Finding


@click.command(short_help="Look for deadlocks in every Python process.")
@click.option(
    "--pid",
    "pids",
    type=click.IntRange(min=1),
    multiple=True,
    help="Only this process, whatever it runs; may be repeated.",
)
@click.option(
    "--user",
    "users",
    metavar="USER",
    multiple=True,
    help="Only processes of this user, a name or a number; may be repeated.",
)
@click.option(
    "--name",
    "names",
    metavar="PATTERN",
    multiple=True,
    help="Only processes whose name, program, script or module matches: celery, 'work*.py'; may be "
    "repeated.",
)
@click.option(
    "--cgroup",
    "groups",
    metavar="TEXT",
    multiple=True,
    help="Only processes whose control group's path contains this: a service, a pod, the id of a "
    "container; may be repeated.",
)
@click.option(
    "--every",
    "every_s",
    type=Seconds(),
    metavar="SECONDS",
    help="Repeat until interrupted, or until every --pid has ended. Print each deadlock once, and "
    "once more when it is over.",
)
@click.option("--json-lines", is_flag=True, help="Print each finding as one line of JSON.")
@click.option(
    "--on-deadlock",
    metavar="COMMAND",
    help="Run this for each new finding, with the finding as JSON on its standard input. It may "
    "take 30 seconds. It is run without a shell; if you need one, give sh -c '...'.",
)
@click.option(
    "--include-host",
    is_flag=True,
    help="Leave home directories and the names of user and host in the JSON.",
)
def command(
    pids: tuple[int, ...],
    users: tuple[str, ...],
    names: tuple[str, ...],
    groups: tuple[str, ...],
    every_s: float | None,
    json_lines: bool,
    on_deadlock: str | None,
    include_host: bool,
) -> None:
    """Look at every Python process that may be read, and print a line for each deadlock.

    A deadlock of only some threads counts too, and so does a likely one, which rests on assumptions
    (the line names them). Processes that move are only glanced at; if a thread stays asleep, its
    process gets a closer look. No process is stopped or changed.

    Exit status, for a liveness probe: 0 if no deadlock was found; 35 if one was proved; 36 if none
    was proved, but one is likely; 125 if a process given by --pid cannot be looked at. Other
    processes that cannot be read do not change it; the summary counts them, with the reasons. With
    --every: 130 after Ctrl-C, 0 when every --pid has ended.
    """
    if sys.platform != "linux":
        raise Unavailable("scan reads /proc, which only Linux has; use `deadlock-matrix inspect`")
    from deadlock_matrix.capture.collector import open_collector
    from deadlock_matrix.render.scan import tally_text
    from deadlock_matrix.run.choosing import Chooser, Wanted
    from deadlock_matrix.run.scanning import Scanner

    telling = _Telling(json_lines, _words_of(on_deadlock), include_host=include_host)
    wanted = Wanted(
        pids=frozenset(pids), users=frozenset(map(_user, users)), names=names, groups=groups
    )
    collector = open_collector()
    try:
        for pid in pids:
            collector.check(pid)
        scanner = Scanner(collector, Chooser(collector, wanted))
        looked_at = False
        while True:
            began = time.monotonic()
            found = scanner.round()
            for finding in (*found.over, *(each.finding for each in found.new)):
                telling.tell(finding, with_time=every_s is not None)
            if every_s is None:
                break
            if pids and not found.tally.processes:
                sys.exit(ExitStatus.OK)
            if not (looked_at or found.tally.processes or found.tally.refused):
                click.echo("deadlock-matrix: waiting for a Python process that matches", err=True)
            looked_at = True
            time.sleep(max(0.0, began + every_s - time.monotonic()))
    finally:
        collector.close()
    click.echo(tally_text(found.tally, len(found.standing)), err=json_lines)
    sys.exit(_status(found.standing))


def _status(standing: tuple[Finding, ...]) -> ExitStatus:
    if not standing:
        return ExitStatus.OK
    proved = any(each.outcome in ("deadlock", "partial") for each in standing)
    return ExitStatus.DEADLOCK if proved else ExitStatus.LIKELY


class _Telling:
    """Where findings go."""

    def __init__(self, json_lines: bool, command: tuple[str, ...], *, include_host: bool) -> None:
        from deadlock_matrix.report.private import make_redaction

        self._json_lines = json_lines
        self._command = command
        self._redaction = make_redaction(None, include_host=include_host)

    def tell(self, finding: Finding, *, with_time: bool) -> None:
        """Print it, and pass it to the user's command if it is a new deadlock."""
        from deadlock_matrix.render.scan import finding_text
        from deadlock_matrix.report.json_text import encode
        from deadlock_matrix.run.handover import hand_over

        document = encode(self._redaction.apply(finding))
        if self._json_lines:
            click.echo(document)
        else:
            when = time.strftime("%Y-%m-%dT%H:%M:%S%z ", time.localtime(finding.time_s))
            click.echo((when if with_time else "") + finding_text(finding))
        if self._command and finding.event == "deadlock":
            problem = hand_over(self._command, document + b"\n")
            if problem:
                click.echo(f"deadlock-matrix: --on-deadlock: {problem}", err=True)


def _words_of(command: str | None) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command or ""))
    except ValueError as error:
        raise ConfigurationError(f"--on-deadlock {command!r}: {error}") from None
    if command is not None and not words:
        raise ConfigurationError("--on-deadlock: no command is given")
    return words


def _user(given: str) -> int:
    import pwd

    if given.isdecimal():
        return int(given)
    try:
        return pwd.getpwnam(given).pw_uid
    except KeyError:
        raise ConfigurationError(
            f"there is no user {given!r} on this machine; for a user of a container, give the "
            "number"
        ) from None
