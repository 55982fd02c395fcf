"""The public functions: what the commands do, with typed and frozen results."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.app.diagnose import diagnose_target
from deadlock_matrix.app.inspect import examine_process
from deadlock_matrix.app.inspection import of_command, of_process, with_causes
from deadlock_matrix.app.planning import Wanted, make_plan
from deadlock_matrix.app.reports import read_any
from deadlock_matrix.app.targets import Asked, make_target
from deadlock_matrix.app.watch import watch_command
from deadlock_matrix.cache import cache_folder
from deadlock_matrix.capture.collector import open_collector
from deadlock_matrix.grid.engine import Finished
from deadlock_matrix.grid.local import LocalEngine
from deadlock_matrix.matrix.selection import Selection
from deadlock_matrix.model.cell import AXES, Cell
from deadlock_matrix.model.diagnosis import Diagnosis
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.observation import CellResult, End, Exited, Signalled
from deadlock_matrix.model.outcome import RunEnd
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import begin
from deadlock_matrix.report.private import make_redaction, redact_plan
from deadlock_matrix.report.store import assemble, write_report
from deadlock_matrix.run.capacity import jobs as capacity
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.examination import add_native_stacks
from deadlock_matrix.run.experiment import MEMORY_MIB
from deadlock_matrix.run.process import Order
from deadlock_matrix.run.workspace import Workspace

__all__ = ["Watched", "diagnose", "inspect", "open_report", "run_matrix", "watch"]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command that was watched.

    ``end`` says how it ended by itself, or why it was ended. ``inspection`` is None if it ended by
    itself; otherwise it says what each of its threads waited for.
    """

    command: tuple[str, ...]
    end: End
    duration_s: float
    inspection: Inspection | None

    @property
    def deadlocked(self) -> bool:
        """Whether it was proved that the whole process could never go on."""
        return self.inspection is not None and self.inspection.verdict == "deadlock"


def inspect(pid: int, *, native: bool = False) -> Inspection:
    """Look at a process that runs now, without changing it.

    Args:
        pid: Its id.
        native: Read native frames too. This stops the process for a moment; nothing else does.

    Returns:
        What each thread waits for, and the proof if it can never go on.

    Raises:
        CaptureError: It cannot be looked at: gone, not ours, or of a kind that is not supported.
    """
    collector = open_collector()
    try:
        collector.warm_up()
        evidence, judgement = examine_process(collector, pid)
        if native:
            evidence = add_native_stacks(collector, evidence)
    finally:
        collector.close()
    return with_causes(of_process(pid, judgement, evidence))


def watch(
    command: Sequence[str],
    *,
    timeout_s: float | None = None,
    likely: bool = False,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Watched:
    """Run a command, and end it as soon as a deadlock of the whole process is proved.

    Its standard input, output and error are ours.

    Args:
        command: The program and its arguments.
        timeout_s: Seconds after which it is ended; ``None`` for no limit.
        likely: End it for a likely deadlock, too, which rests on assumptions.
        environment: Its variables; ``None`` for ours.
        folder: Where it runs; ``None`` for the current folder.

    Raises:
        StartError: It cannot be started.
        RunError: The harness itself failed.
    """
    order = Order(
        command=tuple(command),
        environment=dict(os.environ if environment is None else environment),
        folder=folder or Path.cwd(),
        streams=(0, 1, 2),
    )
    watched = watch_command(order, timeout_s=timeout_s, likely=likely)
    alone = isinstance(watched.end, Exited | Signalled)
    return Watched(
        command=tuple(command),
        end=watched.end,
        duration_s=watched.duration_s,
        inspection=None if alone else with_causes(of_command(watched, tuple(command))),
    )


def diagnose(
    module: str = "",
    *,
    statement: str = "",
    python: str = "",
    path: Path | None = None,
    context: str = "",
    repeat: int | None = None,
    deadline_s: float = 30.0,
    budget_s: float = 50.0,
) -> Diagnosis:
    """Run an import under watch; if it hangs, say why, and try what helps.

    Args:
        module: What to import.
        statement: Code to execute instead.
        python: The interpreter: a path, a command or a version; empty for the one on ``PATH``.
        path: The folder in which to look for modules first; ``None`` for the current one.
        context: The only context to call it from; empty for all of them.
        repeat: How often to run it until it hangs; ``None`` for the command's default.
        deadline_s: Seconds for one run.
        budget_s: Seconds after which no new run starts.

    Raises:
        ConfigurationError: One sentence about what is wrong.
        Unavailable: There is no such interpreter.
        RunError: The harness itself failed.
    """
    here = Path.cwd()
    asked = Asked(
        words=(module,) if module else (),
        statement=statement,
        script=None,
        path=path,
        layouts=(),
        pythons=(python,) if python else (),
        context=context,
        repeat=repeat,
        deadline_s=deadline_s,
        budget_s=budget_s,
        perturb=False,
    )
    return diagnose_target(make_target(asked, load_configuration(None, here), here))


def run_matrix(
    *,
    folder: Path | None = None,
    configuration: Path | None = None,
    study: str = "",
    interpreters: Sequence[str] = (),
    preset: str | None = None,
    exclude: Sequence[str] = (),
    repeat: int = 1,
    **axes: str | Sequence[str],
) -> Report:
    """Run the selected cells, each in a fresh process, and write a report.

    Args:
        folder: Where the run's journal and report go; ``None`` keeps neither.
        configuration: A file to read instead of the nearest ``pyproject.toml``.
        study: A study to run, whatever the configuration says.
        interpreters: Names, paths or versions; empty for the configured ones.
        preset: A selection with a name.
        exclude: Cells to leave out, as ``axis=name``.
        repeat: How often to run each cell.
        **axes: Names or patterns of the values of ``profile``, ``layout``, ``entry``, ``context``.

    Raises:
        ConfigurationError: The configuration or the selection says something impossible.
        Unavailable: There is no such interpreter or study.
        RunError: The harness itself failed.
        ReportError: The folder cannot be written, or holds a run already.
    """
    if unknown := sorted(set(axes) - (set(AXES) - {"interpreter"})):
        raise TypeError(f"run_matrix() has no argument {unknown[0]!r}")
    include = tuple(
        f"{axis}={name}"
        for axis, names in axes.items()
        for name in ((names,) if isinstance(names, str) else names)
    )
    wanted = Wanted(
        folder=Path.cwd(),
        configuration=configuration,
        study=study,
        interpreters=tuple(interpreters),
        selection=Selection(include=include, exclude=tuple(exclude), preset=preset),
        repeat=repeat,
    )
    with tempfile.TemporaryDirectory(prefix="deadlock-matrix-") as scratch:
        return _run(wanted, folder or Path(scratch, "run"), Path(scratch, "probes"))


def _run(wanted: Wanted, folder: Path, scratch: Path) -> Report:
    began_s = time.monotonic()
    plan = make_plan(wanted, sys.argv)
    redaction = make_redaction(plan)
    begin(folder, redact_plan(plan, redaction))
    fingerprints = {each.name: each.fingerprint for each in plan.interpreters}
    at_once = capacity(MEMORY_MIB)
    workspaces = [Workspace(cache_folder(), scratch / str(each)) for each in range(at_once)]
    free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
    for workspace in workspaces:
        free.put(workspace)

    def run(cell: Cell, ended: Callable[[], None]) -> CellResult:
        workspace = free.get()
        try:
            return run_cell(cell, workspace, fingerprints.get(cell.interpreter.name))
        finally:
            free.put(workspace)

    engine = LocalEngine(run, at_once)
    try:
        with Journal(folder, "main") as journal:
            for told in engine.run((*plan.controls, *plan.cells)):
                if isinstance(told, Finished):
                    if isinstance(told.result, Exception):
                        raise told.result
                    journal.append(redaction.apply(told.result))
    finally:
        engine.close()
        for workspace in workspaces:
            workspace.close()
    taken_s = time.monotonic() - began_s
    report = assemble(folder, taken_s, ended=known(RunEnd.FINISHED, "run_matrix, at its end"))
    write_report(report, folder)
    return report


def open_report(path: Path | str, *, evidence: bool = True) -> Report:
    """Read a report; that of a run that was killed is put together first.

    Args:
        path: A ``report.json``, or the folder of a run.
        evidence: Whether to read what the threads of hung processes did.

    Raises:
        ReportError: There is none, or it cannot be read.
    """
    return read_any(Path(path), evidence=evidence).report
