"""``deadlock-matrix inspect``: a process that hangs right now."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from deadlock_matrix.errors import ExitStatus

ANSWER_WITHIN_S = 6.5
"""For all that is read; it leaves some time for the judgement and for starting and ending."""


@click.command(short_help="Look at a process that hangs now.")
@click.argument("pid", type=click.IntRange(min=1))
@click.option("--tree", is_flag=True, help="Show the threads of its descendants too.")
@click.option(
    "--native",
    is_flag=True,
    help="Show native frames too. This stops the process for a moment; nothing else does.",
)
@click.option("--proof", is_flag=True, help="Show what an answer rests on, and where it was read.")
@click.option(
    "--all-frames", is_flag=True, help="Show every frame of every thread; nothing is folded."
)
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
    pid: int,
    tree: bool,
    native: bool,
    proof: bool,
    all_frames: bool,
    as_json: bool,
    include_host: bool,
) -> None:
    """Show what every thread of the process PID waits for, and whether that can ever end.

    Exit status: 35 when a deadlock was proved, 36 when one is likely, that is, under assumptions
    that are named; both also of some threads alone, or of one process of the tree; 0 otherwise.
    """
    from deadlock_matrix.capture.collector import open_collector
    from deadlock_matrix.capture.parents import acting_parents
    from deadlock_matrix.cli.findings import of_process, read_source, show
    from deadlock_matrix.model.verdict import Strength
    from deadlock_matrix.render.inspection import View
    from deadlock_matrix.run.examination import add_native_stacks, examine_twice
    from deadlock_matrix.run.watchdog import Rates

    collector = open_collector()
    collector.hurry(time.monotonic() + ANSWER_WITHIN_S)
    try:
        collector.check(pid)
        collector.warm_up()
        evidence, judgement = examine_twice(
            collector,
            lambda: (pid,),
            Rates().confirm_s,
            always_stacks=True,
            parents=acting_parents(pid),
        )
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
