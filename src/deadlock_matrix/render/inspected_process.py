"""A process in one line: what it runs, when it started, and how long it has not moved."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from deadlock_matrix.diagnosis.text import count, one_line, seconds
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.render.looked_at import LookedAt
from deadlock_matrix.render.page import Line

REMOVED = " (deleted)"
"""What the kernel appends to the name of an executable that an upgrade has replaced."""


def process_line(looked: LookedAt, pid: int) -> Line:
    """Return ``process 7868: /usr/bin/python3 app.py, 5 threads, started 3 min ago``."""
    process = looked.processes.get(pid)
    told = ", ".join(_parts(looked, process)) if process is not None else ""
    return Line(f"process {pid}" + (f": {told}" if told else ""), "bold")


def _parts(looked: LookedAt, process: ProcessFacts) -> Iterator[str]:
    evidence = looked.found.evidence
    assert isinstance(evidence, Known)
    name = process.executable.or_else("?")
    runs = process.command.value[1:] if isinstance(process.command, Known) else ()
    yield one_line(shlex.join([name.removesuffix(REMOVED), *runs]))
    if name.endswith(REMOVED):
        yield "whose file was removed or replaced since"
    if isinstance(process.age_s, Known):
        yield f"started {seconds(process.age_s.value)} ago"
    yield count(len(process.threads), "thread")
    is_root = process.pid == evidence.value.after.root
    if is_root and isinstance(looked.found.unmoved_s, Known):
        yield f"in the same place for {seconds(looked.found.unmoved_s.value)}"
    elif is_root and (slept_s := _asleep_throughout(evidence.value, process)):
        yield f"asleep during the look of {seconds(slept_s)}"
    yield f"{evidence.value.machine.libc}, {evidence.value.machine.architecture}"


def _asleep_throughout(evidence: Evidence, process: ProcessFacts) -> float:
    """Return how many seconds the main thread slept between snapshots; 0 if it may have moved."""
    before = [
        thread
        for each in evidence.before.processes
        if each.pid == process.pid
        for thread in each.threads
    ]
    then, now = _main(before, process.pid), _main(process.threads, process.pid)
    if then is None or now is None or then.started != now.started:
        return 0.0
    asleep = then.state == now.state == "S" and isinstance(now.switches, Known)
    unmoved = asleep and then.switches == now.switches and then.activity == now.activity
    return evidence.after.begun_s - evidence.before.ended_s if unmoved else 0.0


def _main(threads: Iterable[ThreadFacts], pid: int) -> ThreadFacts | None:
    return next((thread for thread in threads if thread.tid == pid), None)
