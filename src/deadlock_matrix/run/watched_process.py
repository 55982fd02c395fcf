"""Start a process in a workspace, watch it, end its tree, and keep what it printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deadlock_matrix.model.cell import Stdin
from deadlock_matrix.model.observation import Leftovers, Output
from deadlock_matrix.run.process import Order
from deadlock_matrix.run.sampling import Sampler
from deadlock_matrix.run.streams import Drain, Input
from deadlock_matrix.run.watchdog import Watchdog, Watched
from deadlock_matrix.run.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How the watch ended, what it printed, and what of its tree had to be ended."""

    watched: Watched
    stdout: Output
    stderr: Output
    leftovers: Leftovers


def run_watched(
    workspace: Workspace,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    deadline_s: float,
    *,
    stdin: Stdin = Stdin.NULL,
    native: bool = True,
    stop: Callable[[], bool] = lambda: False,
    sampler: Sampler | None = None,
    last_look: bool = False,
    ended: Callable[[], None] = lambda: None,
) -> Ran:
    """Run a command to its end or its deadline; nothing of it is left behind.

    Args:
        workspace: The helpers that guard it and look at it.
        command: The program, by its path, and its arguments.
        environment: All of its variables.
        folder: Where it runs.
        deadline_s: Seconds until it is ended.
        stdin: The kind of its standard input.
        native: As for `Watchdog`; so are ``stop``, ``sampler`` and ``last_look``.
        stop: See there.
        sampler: See there.
        last_look: See there.
        ended: Called as soon as nothing of it is left, before its output is read to the end.

    Raises:
        StartError: It cannot be started.
        RunError: The harness itself failed.
    """
    # Both start helpers on first use: the process must not pay for that time.
    supervisor, collector = workspace.supervisor, workspace.collector
    stdout, stderr = Drain(), Drain()
    with Input(stdin) as given:
        try:
            pid = supervisor.start(
                Order(
                    command=tuple(command),
                    environment=dict(environment),
                    folder=folder,
                    streams=(given.read_end, stdout.write_end, stderr.write_end),
                )
            )
            stdout.close_write_end()
            stderr.close_write_end()
            watched = Watchdog(
                supervisor,
                collector,
                pid,
                deadline_s,
                workspace.rates,
                native=native,
                stop=stop,
                sampler=sampler,
                last_look=last_look,
            ).watch()
            leftovers = supervisor.end()
            ended()
        except BaseException:
            # Also on Ctrl-C: the process must not outlive us, and its streams end with it.
            workspace.discard_supervisor()
            raise
        finally:
            output, errors = stdout.finish(), stderr.finish()
    return Ran(watched=watched, stdout=output, stderr=errors, leftovers=leftovers)
