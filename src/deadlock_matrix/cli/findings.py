"""What ``watch`` and ``inspect`` found: put it together, show it, write it to a file."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from deadlock_matrix.app.inspection import recognise_causes, with_causes
from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.render.inspection import View, inspection_text, stuck_text


def show(
    found: Inspection,
    json_file: Path | None,
    view: View,
    *,
    to_stderr: bool,
    include_host: bool = False,
) -> None:
    """Print the text, and write the JSON if a file is given (``-`` for standard output).

    Args:
        found: What to show.
        json_file: Where to write JSON; it may be passed on, so private data is left out.
        view: What the text shows; JSON always has everything.
        to_stderr: Whether the text goes to standard error.
        include_host: Keep home directories and the names of user and host in the JSON.
    """
    if json_file is not None:
        write(found, json_file, include_host=include_host)
        if str(json_file) == "-":
            return
    view = _fitted(view, to_stderr=to_stderr)
    click.echo(inspection_text(found, view, recognise_causes(found)), err=to_stderr)


def write(found: Inspection, json_file: Path, *, include_host: bool = False) -> None:
    """Write it as JSON, to a file or, for ``-``, to standard output."""
    from deadlock_matrix.report.command_line import withhold_arguments
    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.json_text import encode
    from deadlock_matrix.report.private import make_redaction

    subject = withhold_arguments(shlex.split(found.subject))
    open_to_all = msgspec.structs.replace(with_causes(found), subject=subject)
    public = make_redaction(None, include_host=include_host).apply(open_to_all)
    document = encode(public, indent=1)
    if str(json_file) == "-":
        click.echo(document)
    else:
        write_atomically(json_file, document)


def tell(
    found: Inspection, json_file: Path | None, view: View, *, include_host: bool = False
) -> None:
    """Print at once, on standard error, which threads are stuck while the command goes on.

    The JSON file always has the latest; standard output is left for the final answer.
    """
    if json_file is not None and str(json_file) != "-":
        write(found, json_file, include_host=include_host)
    told = stuck_text(found, _fitted(view, to_stderr=True))
    click.echo(f"deadlock-matrix: {told}", err=True)


def read_source(collector: Collector, evidence: Evidence) -> Mapping[tuple[str, int], str]:
    """Return the source lines that the text shows; call this while the processes are there."""
    places: dict[int, set[tuple[str, int]]] = {}
    for facts in evidence.stacks:
        of_process = places.setdefault(facts.pid, set())
        for thread in facts.threads:
            of_process.update((frame.file, frame.line) for frame in thread.python)
        for task in facts.tasks:
            of_process.update((frame.file, frame.line) for frame in task.frames)
    found: dict[tuple[str, int], str] = {}
    for pid, wanted in places.items():
        found |= collector.source_lines(pid, tuple(sorted(wanted)))
    return found


def _fitted(view: View, *, to_stderr: bool) -> View:
    """Fit the view to its terminal; plain and unbroken if there is none."""
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return view
    return replace(
        view,
        width=shutil.get_terminal_size().columns,
        colour=not os.environ.get("NO_COLOR"),
    )
