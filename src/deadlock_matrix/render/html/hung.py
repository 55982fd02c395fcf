"""What was seen of a cell that hung, cut to what a reader looks at."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.diagnosis.frames import is_probes
from deadlock_matrix.diagnosis.imports import is_importlib
from deadlock_matrix.diagnosis.text import one_line, seconds
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import NativeFrame, ThreadStack
from deadlock_matrix.model.thread_facts import OnCpu, SystemCall, ThreadFacts, TimeLimit
from deadlock_matrix.model.verdict import Doing, Proof, core_of
from deadlock_matrix.render.html.document import Frame, Hung, Link, Node, Process, Thread
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.stacks import import_chain

_FRAMES = 200  # of one stack: an endless recursion has a thousand alike


def hung(result: CellResult, evidence: Evidence, pools: Pools) -> Hung:
    """Return the proof as a graph, and every process with its threads side by side."""
    judgement = result.judgement
    doing = {(each.pid, each.tid): each for each in judgement.threads} if judgement else {}
    machine = evidence.machine
    return msgspec.structs.replace(
        _proof(judgement.proof) if judgement and judgement.proof else Hung(),
        processes=tuple(
            _process(process, evidence, doing, pools) for process in evidence.after.processes
        ),
        partial=judgement is not None and judgement.outcome.endswith("partial"),
        machine=one_line(
            f"{machine.system} {machine.kernel}, {machine.architecture}, {machine.libc}"
        ),
    )


def _proof(proof: Proof) -> Hung:
    proof = core_of(proof)
    numbers = {node.id: number for number, node in enumerate(proof.nodes)}
    labels = {node.id: one_line(node.label) for node in proof.nodes}
    return Hung(
        kind=proof.kind.value,
        strength=proof.strength.value,
        assumptions=tuple(one_line(each.detail) for each in proof.assumptions),
        sentence=one_line(proof.sentence),
        nodes=tuple(
            Node(id=node.id, kind=node.kind, label=labels[node.id], root=node.id in proof.roots)
            for node in proof.nodes
        ),
        links=tuple(
            Link(
                tail=numbers[edge.tail],
                head=numbers[edge.head],
                relation=edge.relation,
                source=one_line(edge.source),
            )
            for edge in proof.edges
        ),
        conditions=tuple(
            (
                condition.name,
                labels.get(condition.subject, one_line(condition.subject)),
                one_line(f"{condition.detail} ({condition.source})"),
            )
            for condition in proof.conditions
        ),
    )


def _process(
    process: ProcessFacts,
    evidence: Evidence,
    doing: dict[tuple[int, int], Doing],
    pools: Pools,
) -> Process:
    python, said = _stacks(evidence, process.pid, native=False)
    native, _ = _stacks(evidence, process.pid, native=True)
    parent = f", child of {process.parent}" if process.pid != evidence.after.root else ""
    return Process(
        title=f"Process {process.pid}{parent}",
        stacks=said,
        threads=tuple(
            _thread(
                facts,
                doing.get((process.pid, facts.tid)),
                python.get(facts.tid),
                native.get(facts.tid),
                pools,
            )
            for facts in process.threads
        ),
    )


def _stacks(evidence: Evidence, pid: int, *, native: bool) -> tuple[dict[int, ThreadStack], str]:
    """Return a process's stacks by thread, and who read them or why there are none."""
    said = "no stacks were read"
    for facts in evidence.native_stacks if native else evidence.stacks:
        if facts.pid != pid:
            continue
        if isinstance(facts.stacks, Known):
            stacks = facts.stacks.value
            return {each.tid: each for each in stacks.threads}, f"stacks by {stacks.tool}"
        said = f"stacks not known: {one_line(facts.stacks.reason)}"
    return {}, said


def _thread(
    facts: ThreadFacts,
    doing: Doing | None,
    python: ThreadStack | None,
    native: ThreadStack | None,
    pools: Pools,
) -> Thread:
    frames = python.python if python is not None else ()
    natives = (native or python).native if native or python else ()  # type: ignore[union-attr]
    name = f"thread {facts.tid}" + (f" '{one_line(facts.name)}'" if facts.name else "")
    gil = python.holds_gil if python is not None else None
    return Thread(
        title=one_line(doing.name) if doing else name,
        does=one_line(doing.does) if doing else "",
        stuck=doing is not None and (doing.stuck or doing.likely),
        holds_gil=isinstance(gil, Known) and gil.value,
        facts=tuple(_facts(facts)),
        imports=import_chain(frames),
        python=tuple(_python(frame, pools) for frame in frames[: -_FRAMES - 1 : -1]),
        native=tuple(_native(frame, pools) for frame in natives[: -_FRAMES - 1 : -1]),
    )


def _facts(facts: ThreadFacts) -> Iterator[tuple[str, str]]:
    yield "name", one_line(f"{facts.name}, id {facts.tid}")
    activity = facts.activity
    if not isinstance(activity, Known):
        yield "does", one_line(f"not known: {activity.reason}")
    elif isinstance(activity.value, SystemCall):
        yield "system call", activity.value.name
    else:
        yield "does", "runs" if isinstance(activity.value, OnCpu) else "is outside a system call"
    yield "state", facts.state
    if isinstance(facts.wait_channel, Known):
        yield "sleeps in", one_line(facts.wait_channel.value)
    if isinstance(facts.code, Known):
        yield "called by", one_line(facts.code.value.library)
    if isinstance(facts.timeout, Known):
        limit = facts.timeout.value
        due = limit.due_s if isinstance(limit, TimeLimit) else None
        told = f"{seconds(due.value)} left" if isinstance(due, Known) else "there is one"
        yield "time limit", "none" if due is None else told


def _python(frame: PythonFrame, pools: Pools) -> int:
    where = pools.text(f"{frame.file}:{frame.line}")
    machinery = is_importlib(frame) or is_probes(frame)
    return pools.frames.add(
        Frame(function=one_line(frame.function), where=where, machinery=machinery)
    )


def _native(frame: NativeFrame, pools: Pools) -> int:
    source = f"{frame.file}:{frame.line}, " if frame.file else ""
    where = pools.text(source + frame.library)
    return pools.frames.add(Frame(function=one_line(frame.symbol), where=where, machinery=False))
