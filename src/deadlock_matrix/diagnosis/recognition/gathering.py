"""Gather traces from a cell's result, or from an inspection."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.diagnosis.recognition.traces import Judged, ThreadTraces, Traces
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.observation import CellResult, ImportStep, Observation
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import NativeFrame, ProcessStacks, StackFacts, ThreadStack
from deadlock_matrix.model.verdict import Doing, Proof, Verdict

NOT_INSPECTED = unknown("an inspection does not see it")


class _Words(msgspec.Struct, frozen=True, kw_only=True):
    """What proof and judgement say about threads, by the proof's name for a thread."""

    locks: dict[str, str]
    does: dict[str, str]


def of_result(result: CellResult, fingerprint: Known[Fingerprint] | Unknown) -> Traces:
    """Return the traces of a cell that was run."""
    seen = result.observation
    observation = seen.value if isinstance(seen, Known) else seen
    evidence = observation if isinstance(observation, Unknown) else observation.evidence
    if isinstance(observation, Unknown):
        nothing = observation
        return Traces(
            verdict=known(result.verdict, "the result"),
            calling=known(result.cell.context.calling, "the cell"),
            stdin=known(result.cell.context.stdin, "the cell"),
            environment=nothing, stdout=nothing, stderr=nothing, end=nothing, raised=nothing,
            chains=nothing, loaded=nothing, judged=nothing, machine=nothing, threads=nothing,
            fingerprint=fingerprint,
        )  # fmt: skip
    judgement = result.judgement
    return Traces(
        verdict=known(result.verdict, "the result"),
        calling=known(result.cell.context.calling, "the cell"),
        stdin=known(result.cell.context.stdin, "the cell"),
        environment=known(observation.environment, "its environment as it began"),
        stdout=known(observation.stdout, "stdout"),
        stderr=known(observation.stderr, "stderr"),
        end=known(observation.end, "how it ended"),
        raised=known((observation.raised,) if observation.raised else (), "the probe"),
        chains=_chains(observation),
        loaded=_loaded(observation),
        judged=known(Judged(proof=judgement.proof, gaps=judgement.gaps), "the judgement")
        if judgement is not None
        else unknown("nothing was judged: it did not hang, or could not be looked at"),
        machine=_machine(evidence),
        # The harness started the first process itself, as a new program.
        threads=_threads(
            evidence,
            known(False, "the harness started it"),
            judgement.proof if judgement is not None else None,
            judgement.threads if judgement is not None else (),
        ),
        fingerprint=fingerprint,
    )


def of_inspection(inspection: Inspection, fingerprint: Known[Fingerprint] | Unknown) -> Traces:
    """Return the traces of a process that was looked at from outside, or of a command."""
    nothing = not inspection.partial and not inspection.outcome.startswith("likely")
    if inspection.verdict == "not-proved" and nothing:
        verdict: Known[Verdict] | Unknown = unknown("one look does not tell whether it hangs")
    else:
        verdict = known(_verdict_of(inspection), "inspection")
    evidence = inspection.evidence
    unseen = NOT_INSPECTED
    return Traces(
        verdict=verdict,
        calling=unseen, stdin=unseen, environment=unseen, stdout=unseen, stderr=unseen, end=unseen,
        raised=unseen, chains=unseen, loaded=unseen,
        judged=known(Judged(proof=inspection.proof, gaps=inspection.gaps), "the judgement"),
        machine=_machine(evidence),
        threads=_threads(
            evidence,
            unknown("its parent was not looked at"),
            inspection.proof,
            inspection.threads,
        ),
        fingerprint=fingerprint,
    )  # fmt: skip


def _verdict_of(inspection: Inspection) -> Verdict:
    """Map an inspection to a verdict: anything proved stuck is a deadlock, likely stuck a hang."""
    if inspection.outcome.startswith("likely"):
        return Verdict.HANG
    if inspection.partial:
        return Verdict.DEADLOCK
    return Verdict(inspection.verdict)


def _chains(observation: Observation) -> Known[dict[str, tuple[ImportStep, ...]]] | Unknown:
    probe = observation.probe
    return known(probe.value.chains, "the probe") if isinstance(probe, Known) else probe


def _loaded(observation: Observation) -> Known[tuple[str, ...]] | Unknown:
    probe = observation.probe
    return probe.value.native_libraries if isinstance(probe, Known) else probe


def _machine(evidence: Known[Evidence] | Unknown) -> Known[Machine] | Unknown:
    if isinstance(evidence, Unknown):
        return evidence
    return known(evidence.value.machine, "the evidence")


def _all_it_does(doing: Doing) -> str:
    return f"{doing.does}; {doing.lead}" if doing.lead else doing.does


def _threads(
    evidence: Known[Evidence] | Unknown,
    root_forked: Known[bool] | Unknown,
    proof: Proof | None,
    doings: tuple[Doing, ...],
) -> Known[tuple[tuple[ThreadTraces, ...], ...]] | Unknown:
    if isinstance(evidence, Unknown):
        return evidence
    seen = evidence.value
    processes = {process.pid: process for process in seen.after.processes}
    words = _Words(
        locks=_locks(proof),
        does={f"thread-{each.pid}-{each.tid}": _all_it_does(each) for each in doings},
    )
    found = []
    for process in processes.values():
        parent = processes.get(process.parent)
        if parent is not None:
            forked = _is_forked(process, parent)
        elif process.pid == seen.after.root:
            forked = root_forked
        else:
            forked = unknown("its parent is gone")
        if isinstance(forked, Unknown):
            forked = _says_it_was_forked(_stacks(seen.stacks, process.pid), forked)
        found.append(tuple(_of_process(seen, process, forked, words)))
    return known(tuple(found), evidence.source)


def _of_process(
    evidence: Evidence,
    process: ProcessFacts,
    forked: Known[bool] | Unknown,
    words: _Words,
) -> Iterator[ThreadTraces]:
    python = _stacks(evidence.stacks, process.pid)
    native = _stacks(evidence.native_stacks, process.pid)
    in_python, in_native = _by_tid(python), _by_tid(native)
    for facts in process.threads:
        if facts.state in "ZX":
            continue
        node = f"thread-{process.pid}-{facts.tid}"
        yield ThreadTraces(
            pid=process.pid,
            facts=facts,
            process=process,
            python=_frames(python, in_python.get(facts.tid)),
            native=_native_frames(native, facts.tid, in_native.get(facts.tid)),
            holds_gil=_holds_gil(python, in_python.get(facts.tid)),
            forked=forked,
            lock=_word(words.locks, node, "the proof"),
            does=_word(words.does, node, "the judgement"),
        )


def _word(words: dict[str, str], node: str, source: str) -> Known[str] | Unknown:
    return known(words[node], source) if node in words else unknown(f"{source} is not about it")


def _locks(proof: Proof | None) -> dict[str, str]:
    """Return what each thread of a proof waits for, by the thread's node."""
    if proof is None:
        return {}
    labels = {node.id: node.label for node in proof.nodes}
    return {edge.tail: labels[edge.head] for edge in proof.edges if edge.relation == "waits for"}


def _stacks(facts: tuple[StackFacts, ...], pid: int) -> Known[ProcessStacks] | Unknown:
    for each in facts:
        if each.pid == pid:
            return each.stacks
    return unknown("no such stacks were read")


def _by_tid(stacks: Known[ProcessStacks] | Unknown) -> dict[int, ThreadStack]:
    return {each.tid: each for each in stacks.value.threads} if isinstance(stacks, Known) else {}


def _frames(
    stacks: Known[ProcessStacks] | Unknown, thread: ThreadStack | None
) -> Known[tuple[PythonFrame, ...]] | Unknown:
    if isinstance(stacks, Unknown):
        return unknown(f"Python frames: {stacks.reason}")
    # The tools show every thread that Python knows; any other has no Python frames.
    return known(thread.python if thread is not None else (), stacks.value.tool)


def _native_frames(
    stacks: Known[ProcessStacks] | Unknown, tid: int, thread: ThreadStack | None
) -> Known[tuple[NativeFrame, ...]] | Unknown:
    if isinstance(stacks, Unknown):
        return unknown(f"native frames: {stacks.reason}")
    if thread is None:
        return unknown(f"native frames: {stacks.value.tool} does not show thread {tid}")
    return known(thread.native, stacks.value.tool)


def _holds_gil(
    stacks: Known[ProcessStacks] | Unknown, thread: ThreadStack | None
) -> Known[bool] | Unknown:
    if isinstance(stacks, Unknown):
        return unknown(f"who holds the GIL: {stacks.reason}")
    return thread.holds_gil if thread is not None else known(False, stacks.value.tool)


def _is_forked(process: ProcessFacts, parent: ProcessFacts) -> Known[bool] | Unknown:
    """Return whether a process is a copy of its parent rather than a new program.

    The system loads a new program's libraries at addresses of its own choice; a copy has them all
    where its parent has them.
    """
    if isinstance(process.libraries, Unknown):
        return process.libraries
    if isinstance(parent.libraries, Unknown):
        return parent.libraries
    above = {library.path: library.start for library in parent.libraries.value}
    shared = [each for each in process.libraries.value if each.path in above]
    if not shared:
        return unknown("it has no library in common with its parent")
    same = all(above[library.path] == library.start for library in shared)
    return known(same, "where its libraries lie, compared with its parent's")


def _says_it_was_forked(
    stacks: Known[ProcessStacks] | Unknown, otherwise: Unknown
) -> Known[bool] | Unknown:
    """Tell whether multiprocessing forked it: then it still has the frame of that."""
    if isinstance(stacks, Known):
        for thread in stacks.value.threads:
            for frame in thread.python:
                path = frame.file.replace("\\", "/")
                if frame.function == "_launch" and path.endswith("/multiprocessing/popen_fork.py"):
                    return known(True, f"{stacks.value.tool}: {path}")
    return otherwise
