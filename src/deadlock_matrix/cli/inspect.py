"""``deadlock-matrix inspect``: look at a process that hangs now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deadlock_matrix.cli.shell import collect_garbage_rarely
from deadlock_matrix.errors import ExitStatus

if TYPE_CHECKING:
    from deadlock_matrix.capture.collector import Collector


@click.command(short_help="Show why a running process hangs.")
@click.argument("pids", metavar="PID...", type=click.IntRange(min=1), nargs=-1)
@click.option(
    "--follow",
    is_flag=True,
    help="Wait until one of the processes hangs, and show that one. If all of them end first, exit "
    "with 0.",
)
@click.option(
    "--name",
    "names",
    metavar="PATTERN",
    multiple=True,
    help="With --follow, instead of PID: processes whose program, script or module matches.",
)
@click.option("--tree", is_flag=True, help="Show the threads of all descendants too.")
@click.option(
    "--native",
    is_flag=True,
    help="Show native frames too. This stops the process for a moment; nothing else does.",
)
@click.option("--proof", is_flag=True, help="Show the steps of the proof, and where each was read.")
@click.option("--all-frames", is_flag=True, help="Show every frame of every thread; fold nothing.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print everything that was found as JSON.",
)
@click.option(
    "--include-host",
    is_flag=True,
    help="Leave home directories and the names of user and host in the JSON.",
)
def command(
    pids: tuple[int, ...],
    follow: bool,
    names: tuple[str, ...],
    tree: bool,
    native: bool,
    proof: bool,
    all_frames: bool,
    as_json: bool,
    include_host: bool,
) -> None:
    """Show what every thread of the process PID waits for, and whether that wait can ever end.

    Exit status: 35 if a deadlock was proved, 36 if one is likely (it rests on assumptions, which
    are named), 0 otherwise. A deadlock of only some threads or processes of the tree counts too.
    """
    if follow and bool(pids) == bool(names):
        raise click.UsageError(
            "--follow needs the ids of processes or --name PATTERN: give one of the two"
        )
    if not follow and (names or len(pids) != 1):
        raise click.UsageError(
            "inspect looks at one process: give one id, or add --follow for several ids or for "
            "--name"
        )
    from deadlock_matrix.capture.collector import open_collector

    collector = open_collector()
    try:
        collector.warm_up()  # its helper starts while the rest is imported here
        from deadlock_matrix.app.inspect import examine_process
        from deadlock_matrix.app.inspection import learn_causes, of_process
        from deadlock_matrix.cli.findings import read_source, show
        from deadlock_matrix.model.verdict import Strength
        from deadlock_matrix.render.inspection import View
        from deadlock_matrix.run.examination import add_native_stacks

        learn_causes()  # before the helper is ready
        collect_garbage_rarely()
        if follow:
            for each in pids:
                collector.check(each)
            click.echo("deadlock-matrix: waiting until a process hangs", err=True)
        judgement = None
        while judgement is None or (follow and judgement.proof is None):
            pid = pids[0] if not follow else _follow(collector, pids, names)
            evidence, judgement = examine_process(collector, pid)
        if native:
            evidence = add_native_stacks(collector, evidence)
        source = {} if as_json else read_source(collector, evidence)
    finally:
        collector.close()
    found = of_process(pid, judgement, evidence)
    view = View(
        only=None if tree else pid,
        proof=proof,
        all_frames=all_frames,
        native=native,
        source=source,
    )
    where = Path("-") if as_json else None
    show(found, where, view, to_stderr=False, include_host=include_host)
    if found.proof is None:
        sys.exit(ExitStatus.OK)
    proved = found.proof.strength is Strength.PROVED
    sys.exit(ExitStatus.DEADLOCK if proved else ExitStatus.LIKELY)


def _follow(collector: Collector, pids: tuple[int, ...], names: tuple[str, ...]) -> int:
    """Return the first process that hangs; end the command when none is left."""
    from deadlock_matrix.run.choosing import Wanted
    from deadlock_matrix.run.following import follow

    found = follow(collector, Wanted(pids=frozenset(pids), names=names))
    if found is None:
        click.echo("deadlock-matrix: none of the processes is left", err=True)
        sys.exit(ExitStatus.OK)
    return found
