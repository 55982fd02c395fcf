"""What ``watch`` and ``inspect`` found, put together, shown and written down."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click
import msgspec

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.diagnosis.recognition import Recognition
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import Judgement, Outcome
from deadlock_matrix.proof.conclude import reasons
from deadlock_matrix.render.inspection import View, inspection_text, stuck_text
from deadlock_matrix.report.command_line import withhold_arguments
from deadlock_matrix.report.files import write_atomically
from deadlock_matrix.report.host import describe_tool
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.private import make_redaction
from deadlock_matrix.run.watchdog import Watched

NOT_WATCHED = unknown("it was not watched from its start")


def of_command(watched: Watched, arguments: tuple[str, ...]) -> Inspection:
    """A command that was ended by a proof or at its deadline."""
    judgement = watched.judgement
    detected: Known[float] | Unknown = unknown("nothing was proved")
    if watched.detected_after_s is not None:
        detected = known(watched.detected_after_s, "the last progress of the main thread")
    moving = isinstance(watched.progressing, Known) and watched.progressing.value
    return _make(
        shlex.join(arguments),
        judgement,
        watched.evidence,
        detected,
        unmoved_s=_unmoved(watched),
        otherwise="slow" if moving else "hang",
    )


def _unmoved(watched: Watched) -> Known[float] | Unknown:
    """For how long the main thread had not moved when it was looked at last."""
    if not isinstance(watched.evidence, Known):
        return watched.evidence
    looked_s = watched.evidence.value.after.ended_s - watched.began_s
    unmoved_s = max(looked_s - watched.last_progress_s, 0.0)
    return known(unmoved_s, "the last progress of the main thread")


def of_living_command(
    arguments: tuple[str, ...], judgement: Judgement, evidence: Evidence
) -> Inspection:
    """A command of which some threads are deadlocked, or it is likely, and that goes on."""
    return _make(
        shlex.join(arguments),
        judgement,
        known(evidence, "two snapshots that agree"),
        unknown("the command goes on"),
        otherwise="not-proved",
    )


def of_process(pid: int, judgement: Judgement, evidence: Evidence) -> Inspection:
    """A process that was looked at once."""
    return _make(
        f"process {pid}",
        judgement,
        known(evidence, "two snapshots"),
        NOT_WATCHED,
        otherwise="not-proved",
    )


def _make(
    subject: str,
    judgement: Judgement | None,
    evidence: Known[Evidence] | Unknown,
    detected_after_s: Known[float] | Unknown,
    *,
    unmoved_s: Known[float] | Unknown = NOT_WATCHED,
    otherwise: Literal["hang", "slow", "not-proved"],
) -> Inspection:
    proof = judgement.proof if judgement is not None else None
    proved = judgement is not None and judgement.outcome == "deadlock"
    outcome: Outcome = judgement.outcome if judgement is not None else "not-proved"
    sentence = proof.sentence if proof is not None else reasons(judgement)
    return Inspection(
        tool=describe_tool(),
        subject=subject,
        verdict="deadlock" if proved else otherwise,
        partial=outcome in ("partial", "likely-partial"),
        sentence=sentence,
        proof=proof,
        gaps=judgement.gaps if judgement is not None else (),
        threads=judgement.threads if judgement is not None else (),
        libraries=_libraries(evidence),
        detected_after_s=detected_after_s,
        evidence=evidence,
        outcome=outcome,
        unmoved_s=unmoved_s,
        likely=judgement.likely if judgement is not None else None,
    )


def _libraries(evidence: Known[Evidence] | Unknown) -> tuple[str, ...]:
    if not isinstance(evidence, Known):
        return ()
    paths = {
        library.path
        for process in evidence.value.after.processes
        if isinstance(process.libraries, Known)
        for library in process.libraries.value
    }
    return tuple(sorted(paths))


def show(
    found: Inspection,
    json_file: Path | None,
    view: View,
    *,
    to_stderr: bool,
    include_host: bool = False,
) -> None:
    """Print the text, and write the JSON where it was asked for (``-``: standard output).

    Args:
        found: What is shown.
        json_file: JSON is handed on, so it is written without what is private.
        view: What the text shows; JSON always has all.
        to_stderr: Whether the text goes there.
        include_host: Leave home directories and the names of user and host in the JSON.
    """
    if json_file is not None:
        document = _document(found, include_host=include_host)
        if str(json_file) == "-":
            click.echo(document)
            return
        write_atomically(json_file, document)
    view = _fitted(view, to_stderr=to_stderr)
    click.echo(inspection_text(found, view, _recognise(found)), err=to_stderr)


def tell(
    found: Inspection, json_file: Path | None, view: View, *, include_host: bool = False
) -> None:
    """Tell at once, on standard error, of threads that are stuck while the command goes on.

    The JSON file holds the latest of it; standard output is left for what comes out in the end.
    """
    if json_file is not None and str(json_file) != "-":
        write_atomically(json_file, _document(found, include_host=include_host))
    told = stuck_text(found, _fitted(view, to_stderr=True))
    click.echo(f"deadlock-matrix: {told}", err=True)


def read_source(collector: Collector, evidence: Evidence) -> Mapping[tuple[str, int], str]:
    """The lines of source text that the text shows; ask while the processes are there."""
    places: dict[int, set[tuple[str, int]]] = {}
    for facts in evidence.stacks:
        if isinstance(facts.stacks, Known):
            of_process = places.setdefault(facts.pid, set())
            for thread in facts.stacks.value.threads:
                of_process.update((frame.file, frame.line) for frame in thread.python)
    found: dict[tuple[str, int], str] = {}
    for pid, wanted in places.items():
        found |= collector.source_lines(pid, tuple(sorted(wanted)))
    return found


def _fitted(view: View, *, to_stderr: bool) -> View:
    """As wide and as coloured as where it goes; plain and unbroken where that is no terminal."""
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return view
    return replace(
        view,
        width=shutil.get_terminal_size().columns,
        colour=not os.environ.get("NO_COLOR"),
    )


def _document(found: Inspection, *, include_host: bool) -> bytes:
    subject = withhold_arguments(shlex.split(found.subject))
    open_to_all = msgspec.structs.replace(found, subject=subject)
    public = make_redaction(None, include_host=include_host).apply(open_to_all)
    return encode(public, indent=1)


def _recognise(found: Inspection) -> tuple[Recognition, ...]:
    """The known causes; looking for them is worth its time only where something hangs."""
    if not isinstance(found.evidence, Known):
        return ()
    from deadlock_matrix.causes import load_causes
    from deadlock_matrix.diagnosis.recognition import recognise_inspected

    return tuple(recognise_inspected(found, load_causes()))
