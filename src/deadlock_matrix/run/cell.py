"""Run one cell: a fresh process, watched, ended with everything it started, and written down.

This is the only way in which a probe is run, whoever asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from deadlock_matrix.decoding import decode
from deadlock_matrix.errors import ConfigurationError, StartError, Unavailable
from deadlock_matrix.matrix.expansion import unavailable_reason
from deadlock_matrix.matrix.layouts import assemble
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import (
    CellResult,
    Observation,
    Phase,
    ProbeFacts,
    Raised,
    Stopped,
)
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.conclude import conclude
from deadlock_matrix.run.cell_folder import CellFolder
from deadlock_matrix.run.environment import make_environment, recorded
from deadlock_matrix.run.sampling import Sampler
from deadlock_matrix.run.watchdog import Watched
from deadlock_matrix.run.watched_process import run_watched
from deadlock_matrix.run.workspace import Workspace

PROBE = Path(__file__).resolve().parent.parent / "probe" / "probe.py"


class _Result(ProbeFacts, frozen=True, kw_only=True):
    """What the probe's script writes: its facts, and the exception if there was one."""

    raised: Raised | None = None


def run_cell(
    cell: Cell,
    workspace: Workspace,
    fingerprint: Known[Fingerprint] | Unknown | None = None,
    *,
    sampler: Sampler | None = None,
    stop: Callable[[], bool] = lambda: False,
    ended: Callable[[], None] = lambda: None,
) -> CellResult:
    """Run one cell to its end or its deadline; nothing of it is left behind.

    Args:
        cell: What to run.
        workspace: Where, and with which helpers.
        fingerprint: The fingerprint of the cell's interpreter, if known: it shows before anything
            is started that a layout cannot be read by that interpreter.
        sampler: Takes samples of where it spends its time.
        stop: Asked again and again; once it says so, the run is ended after a last look at it.
        ended: Called as soon as nothing of the cell is left: the next cell may then be run in this
            workspace, in another thread.

    Raises:
        RunError: The harness itself failed, not the cell.
    """
    if fingerprint is not None:
        reason = unavailable_reason(cell, fingerprint)
        if reason:
            return unavailable(cell, reason)
    try:
        sys_path = _sys_path(cell, workspace)
    except (ConfigurationError, Unavailable) as error:
        return unavailable(cell, str(error))
    try:
        with workspace.cell_folder() as folder:
            observation, watched = _observe(cell, workspace, folder, sys_path, sampler, stop, ended)
            if observation.leftovers.alive:  # whoever could not be ended may still write there
                folder.close()
    except StartError as error:
        return unavailable(cell, str(error))
    verdict, why = conclude(observation, watched.judgement)
    return CellResult(
        cell=cell,
        verdict=verdict,
        why=why,
        observation=known(observation, "one run"),
        judgement=watched.judgement,
        detected_after_s=watched.detected_after_s,
    )


def unavailable(cell: Cell, reason: str) -> CellResult:
    """Return the result of a cell that cannot be run here."""
    return CellResult(
        cell=cell, verdict=Verdict.UNAVAILABLE, why=reason, observation=unknown(reason)
    )


def _sys_path(cell: Cell, workspace: Workspace) -> str:
    if not cell.layout.overlays:
        return ""
    overlays = [Path(overlay) for overlay in cell.layout.overlays]
    return str(assemble(overlays, workspace.cache / "layouts"))


def _observe(
    cell: Cell,
    workspace: Workspace,
    folder: CellFolder,
    sys_path: str,
    sampler: Sampler | None,
    stop: Callable[[], bool],
    ended: Callable[[], None],
) -> tuple[Observation, Watched]:
    command = (
        cell.interpreter.executable,
        str(PROBE),
        str(folder.progress),
        str(folder.result),
        cell.context.calling.value,
        sys_path,
        cell.context.prelude,
        cell.entry.statement,
        ",".join(cell.watch_modules),
    )
    environment = make_environment(
        cell.interpreter, cell.profile, os.environ, Path(sys.executable).parent
    )
    ran = run_watched(
        workspace,
        command,
        environment,
        folder.home,
        cell.deadline_s,
        stdin=cell.context.stdin,
        stop=stop,
        sampler=sampler,
        last_look=True,
        ended=ended,
    )
    watched = ran.watched
    facts, raised = _read_result(folder.result)
    observation = Observation(
        phase=_phase(folder.progress, watched),
        end=watched.end,
        duration_s=watched.duration_s,
        last_progress_s=known(watched.last_progress_s, "the main thread, seen from outside"),
        probe=facts,
        raised=raised,
        stdout=ran.stdout,
        stderr=ran.stderr,
        evidence=watched.evidence,
        leftovers=ran.leftovers,
        command=command,
        environment=recorded(environment, cell.interpreter, cell.profile),
        progressing=watched.progressing,
        began_s=watched.began_s,
    )
    return observation, watched


def _read_result(path: Path) -> tuple[Known[ProbeFacts] | Unknown, Raised | None]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return unknown("the process ended, or was ended, before the entry had finished"), None
    try:
        result = decode(content, _Result)
    except msgspec.DecodeError as error:
        return unknown(f"what the probe wrote cannot be read: {error}"), None
    fields = {name: getattr(result, name) for name in ProbeFacts.__struct_fields__}
    return known(ProbeFacts(**fields), "the probe itself, after the entry"), result.raised


def _phase(progress: Path, watched: Watched) -> Phase:
    """Return how far the probe's script got, by the last line it wrote."""
    try:
        lines = progress.read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return "start"
    match lines[-2:-1]:
        case ["exit"]:
            return "exit" if isinstance(watched.end, Stopped) else "ended"
        case ["prelude"]:
            return "prelude"
        case ["entry"]:
            return "entry"
    return "start"
