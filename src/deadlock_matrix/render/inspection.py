"""A hung process for a reader: the sentence first, then every thread, then how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.recognition import Recognition
from deadlock_matrix.diagnosis.words import base_name
from deadlock_matrix.model.evidence import NativeFrame, PythonFrame, ThreadStack
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import TITLES, Doing
from deadlock_matrix.render.causes import cause_lines
from deadlock_matrix.render.plain import count, one_line, seconds
from deadlock_matrix.render.stacks import import_chain

NATIVE_FRAMES = 8
MOST_TOLD = 8
"""How many stuck threads are shown while the command goes on."""


def inspection_text(
    found: Inspection, only: int | None = None, recognitions: Sequence[Recognition] = ()
) -> str:
    """The whole text.

    Args:
        found: What is shown.
        only: The process whose threads are shown besides the stuck ones; ``None``: all.
        recognitions: The known causes that were recognised in it.
    """
    return "\n".join(_lines(found, only, recognitions))


def _lines(
    found: Inspection, only: int | None, recognitions: Sequence[Recognition]
) -> Iterator[str]:
    yield f"{_title(found)}: {one_line(found.sentence)}"
    yield from _summary(found)
    if recognitions:
        yield ""
        yield from cause_lines(recognitions)
    shown = [
        doing
        for doing in found.threads
        if only is None or doing.stuck or doing.likely or doing.pid == only
    ]
    stacks, natives = _stacks(found)
    process = None
    for doing in shown:
        if doing.pid != process:
            process = doing.pid
            yield ""
            yield from _process(found, process)
        yield ""
        yield from _thread(doing, stacks.get((doing.pid, doing.tid)),
                           natives.get((doing.pid, doing.tid)))  # fmt: skip
    if len(shown) < len(found.threads):
        hidden = count(len(found.threads) - len(shown), "thread")
        yield f"\n{hidden} of its descendants not shown; --tree shows them"
    if found.likely is not None:
        yield f"\nlikely deadlock of the whole process: {one_line(found.likely.sentence)}"
    if found.proof is not None:
        yield from _proof(found)
    if found.gaps:
        yield "\nwhat stands in the way of a proof" + (" of more" if found.proof else "")
        for gap in found.gaps:
            unknown = "not known: " if gap.kind == "unknown" else ""
            yield f"  {one_line(gap.subject)}: {unknown}{one_line(gap.detail)}"


def stuck_text(found: Inspection) -> str:
    """What is stuck while the rest goes on: the sentence, and the stacks of those threads."""
    return "\n".join(_stuck_lines(found))


def _stuck_lines(found: Inspection) -> Iterator[str]:
    yield f"{_title(found)}: {one_line(found.sentence)}"
    stacks, _ = _stacks(found)
    stuck = [doing for doing in found.threads if doing.stuck or doing.likely]
    for doing in stuck[:MOST_TOLD]:
        yield ""
        yield from _thread(doing, stacks.get((doing.pid, doing.tid)), None)
    if len(stuck) > MOST_TOLD:
        yield f"\nand {count(len(stuck) - MOST_TOLD, 'thread')} more"


def _title(found: Inspection) -> str:
    if found.proof is None and found.verdict != "not-proved":
        return str(found.verdict)
    return TITLES[found.outcome]


def _summary(found: Inspection) -> Iterator[str]:
    if found.proof is not None:
        kinds = {
            "owner": "owner proof: every wait can be ended by one thread alone, and they are a "
            "closed circle",
            "closed-world": "closed-world proof: everybody who could end one of these waits is "
            "waiting too",
        }
        yield kinds[found.proof.kind.value]
    if isinstance(found.evidence, Known):
        for parent in found.evidence.value.parents:
            yield one_line(
                f"above it: process {parent.pid} ({parent.name}) {parent.acts}, and may interrupt "
                "or end it"
            )
    if isinstance(found.detected_after_s, Known):
        yield f"found {seconds(found.detected_after_s.value)} after the last progress"


def _process(found: Inspection, pid: int) -> Iterator[str]:
    evidence = found.evidence
    if not isinstance(evidence, Known):
        yield f"process {pid}"
        return
    machine = evidence.value.machine
    for process in evidence.value.after.processes:
        if process.pid == pid:
            name = process.executable.value if isinstance(process.executable, Known) else "?"
            yield (
                f"process {pid}: {one_line(name)}, {count(len(process.threads), 'thread')}, "
                f"{machine.libc}, {machine.architecture}"
            )
            return
    yield f"process {pid}"


def _thread(doing: Doing, stack: ThreadStack | None, native: ThreadStack | None) -> Iterator[str]:
    mark = "stuck: " if doing.stuck else "likely stuck: " if doing.likely else ""
    yield f"{one_line(doing.name)}, {mark}{one_line(doing.does)}"
    if stack is not None:
        for frame in stack.python:
            yield f"    {_python_frame(frame)}"
        chain = import_chain(stack.python)
        if chain:
            yield "    imports under way: " + " > ".join(chain)
    if native is not None and native.native:
        frames = native.native[-NATIVE_FRAMES:]
        if len(native.native) > len(frames):
            yield f"    native: {len(native.native) - len(frames)} outer frames left out"
        for native_frame in frames:
            yield f"    native: {_native_frame(native_frame)}"


def _python_frame(frame: PythonFrame) -> str:
    return one_line(f'File "{frame.file}", line {frame.line}, in {frame.function}')


def _native_frame(frame: NativeFrame) -> str:
    library = base_name(frame.library) or "?"
    return one_line(f"{frame.symbol} ({library})")


def _proof(found: Inspection) -> Iterator[str]:
    assert found.proof is not None
    labels = {node.id: one_line(node.label) for node in found.proof.nodes}
    yield "\nhow this was read"
    for edge in found.proof.edges:
        if edge.relation != "consists of":
            yield f"  {labels[edge.tail]} {edge.relation} {labels[edge.head]}"
            yield f"      read in {one_line(edge.source)}"
    if found.proof.assumptions:
        yield "\nwhat is assumed, because it cannot be read"
    for assumption in found.proof.assumptions:
        subject = labels.get(assumption.subject, assumption.subject)
        yield f"  {subject}: {assumption.kind.value}: {one_line(assumption.detail)}"
        yield f"      evidence read in {one_line(assumption.source)}"
    yield "\nwhat had to hold, and does"
    for condition in found.proof.conditions:
        if not condition.assumes:
            subject = labels.get(condition.subject, condition.subject)
            yield f"  {subject}: {condition.name}: {one_line(condition.detail)}"


def _stacks(
    found: Inspection,
) -> tuple[dict[tuple[int, int], ThreadStack], dict[tuple[int, int], ThreadStack]]:
    python: dict[tuple[int, int], ThreadStack] = {}
    native: dict[tuple[int, int], ThreadStack] = {}
    if isinstance(found.evidence, Known):
        evidence = found.evidence.value
        for facts, into in (
            *((each, python) for each in evidence.stacks),
            *((each, native) for each in evidence.native_stacks),
        ):
            if isinstance(facts.stacks, Known):
                for thread in facts.stacks.value.threads:
                    into[facts.pid, thread.tid] = thread
    return python, native
