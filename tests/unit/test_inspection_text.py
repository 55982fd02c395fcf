"""What a reader sees of a hung process."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deadlock_matrix.model.evidence import (
    Evidence,
    Machine,
    NativeFrame,
    ProcessFacts,
    ProcessStacks,
    PythonFrame,
    Snapshot,
    StackFacts,
    ThreadStack,
)
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.report import Tool
from deadlock_matrix.model.verdict import (
    Assumption,
    AssumptionKind,
    Condition,
    Doing,
    Edge,
    Gap,
    Node,
    Proof,
    ProofKind,
    Verdict,
)
from deadlock_matrix.render.inspection import NATIVE_FRAMES, inspection_text, stuck_text

PROOF = Proof(
    kind=ProofKind.OWNER,
    sentence="Thread 7 waits for thread 8, which waits for thread 7.",
    roots=("t7",),
    nodes=(
        Node(id="t7", kind="thread", label="thread 7"),
        Node(id="m", kind="lock", label="mutex 0x10 of libfoo.so"),
        Node(id="p", kind="process", label="process 7", members=2),
    ),
    edges=(
        Edge(tail="t7", head="m", relation="waits for", source="/proc/7/syscall"),
        Edge(tail="m", head="t7", relation="held by", source="its owner\nfield"),
        Edge(tail="p", head="t7", relation="consists of", source="/proc/7/task"),
    ),
    conditions=(Condition(name="no-timers", subject="p", detail="none", source="/proc/7/timers"),),
)
DOING = (
    Doing(
        pid=7,
        tid=7,
        name="main thread 7",
        does="waits for mutex 0x10, held by thread 8",
        stuck=True,
    ),
    Doing(pid=7, tid=8, name="thread 8 'pool'", does="waits", stuck=False),
    Doing(pid=9, tid=9, name="main thread 9", does="reads\nfrom a pipe", stuck=False),
)
GAP = Gap(kind="does-not-hold", subject="thread 8", detail="waits in poll with a time limit")


def process(pid: int) -> ProcessFacts:
    fields: dict[str, Any] = dict.fromkeys(ProcessFacts.__struct_fields__, unknown("not read"))
    fields |= {"pid": pid, "own_pid": pid, "parent": 1, "started": 1, "threads": ()}
    return ProcessFacts(**fields | {"executable": known("/usr/bin/python3", "/proc/7/exe")})


def stacks(native: bool) -> tuple[StackFacts, ...]:
    frames = tuple(
        NativeFrame(symbol=f"f{n}", library="/lib/libfoo.so", address=n) for n in range(20)
    )
    thread = ThreadStack(
        tid=7,
        name="main",
        python=(
            PythonFrame(function="<module>", file="a.py", line=3),
            PythonFrame(function="wait", file="b.py", line=4),
        ),
        native=frames if native else (),
        holds_gil=unknown("not read"),
    )
    read = ProcessStacks(pid=7, tool="pystack", begun_s=0.0, ended_s=0.1, threads=(thread,))
    return (
        StackFacts(pid=7, stacks=known(read, "pystack")),
        StackFacts(pid=9, stacks=unknown("not a Python")),
    )


def inspection(native: bool = False, **rest: Any) -> Inspection:
    snapshot = Snapshot(
        begun_s=0.0, ended_s=0.1, root=7, processes=(process(7),), outside_holders=unknown("no")
    )
    machine = Machine(system="linux", architecture="x86_64", kernel="6.1", libc="glibc 2.36")
    evidence = Evidence(
        machine=machine,
        before=snapshot,
        stacks=stacks(False),
        after=snapshot,
        native_stacks=stacks(True) if native else (),
    )
    values: dict[str, Any] = {
        "tool": Tool(name="deadlock-matrix", version="1", python="3.11"),
        "subject": "process 7",
        "verdict": Verdict.DEADLOCK,
        "partial": False,
        "outcome": "deadlock",
        "sentence": PROOF.sentence,
        "proof": PROOF,
        "gaps": (),
        "threads": DOING,
        "libraries": (),
        "detected_after_s": known(0.21, "the last progress"),
        "evidence": known(evidence, "two snapshots"),
    }
    return Inspection(**(values | rest))


def test_the_sentence_comes_first() -> None:
    lines = inspection_text(inspection()).splitlines()
    assert lines[0] == f"deadlock: {PROOF.sentence}"
    assert lines[1].startswith("owner proof: ")
    assert "after the last progress" in lines[2]


def test_threads_with_their_frames() -> None:
    text = inspection_text(inspection())
    assert "process 7: /usr/bin/python3, 0 threads, glibc 2.36, x86_64" in text
    assert "main thread 7, stuck: waits for mutex 0x10, held by thread 8\n" in text
    assert '    File "a.py", line 3, in <module>\n    File "b.py", line 4, in wait\n' in text
    assert "thread 8 'pool', waits" in text and "stuck: waits\n" not in text
    assert "\nprocess 9\n\nmain thread 9, reads from a pipe\n" in text  # in one line
    assert "native: " not in text


def test_native_frames_are_the_innermost() -> None:
    text = inspection_text(inspection(native=True))
    assert f"native: {20 - NATIVE_FRAMES} outer frames left out" in text
    assert "native: f19 (libfoo.so)" in text and "f11 (" not in text


def test_the_proof_in_words() -> None:
    text = inspection_text(inspection())
    assert "  thread 7 waits for mutex 0x10 of libfoo.so\n      read in /proc/7/syscall\n" in text
    assert "  mutex 0x10 of libfoo.so held by thread 7\n      read in its owner field" in text
    assert "consists of" not in text
    assert "  process 7: no-timers: none" in text


def test_only_one_process_is_shown() -> None:
    text = inspection_text(inspection(), only=7)
    assert "thread 8 'pool'" in text and "main thread 9" not in text
    assert "1 thread of its descendants not shown; --tree shows them" in text
    # A stuck thread is part of the answer, wherever it is.
    text = inspection_text(inspection(), only=9)
    assert "main thread 7" in text and "thread 8 'pool'" not in text


def test_what_stands_in_the_way() -> None:
    unread = Gap(kind="unknown", subject="process 7", detail="permission\ndenied")
    found = inspection(
        verdict="not-proved", outcome="not-proved", proof=None, sentence="it waits",
        gaps=(GAP, unread),
        detected_after_s=unknown("not watched"),
    )  # fmt: skip
    text = inspection_text(found)
    assert text.startswith("no deadlock proved: it waits\n")
    assert "  thread 8: waits in poll with a time limit\n" in text
    assert "  process 7: not known: permission denied" in text
    assert "how this was read" not in text and "last progress" not in text


@pytest.mark.parametrize("verdict", [Verdict.HANG, Verdict.SLOW])
def test_a_command_at_its_deadline(verdict: Verdict) -> None:
    found = inspection(verdict=verdict, proof=None, sentence="it waits", gaps=(GAP,))
    assert inspection_text(found).startswith(f"{verdict.value}: it waits\n")


def test_some_threads_only() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial", gaps=(GAP,))
    text = inspection_text(found)
    assert text.startswith("partial deadlock: ")
    assert "how this was read" in text and "what stands in the way" in text


def test_likely_names_what_it_assumes() -> None:
    assumed = Assumption(
        kind=AssumptionKind.NO_SIGNAL,
        subject="process-7",
        detail="no SIGTERM comes (the handler is stop, a.py:3)",
        source="/proc/7/status",
    )
    condition = msgspec.structs.replace(PROOF.conditions[0], detail="x", assumes=(assumed,))
    proof = msgspec.structs.replace(PROOF, assumptions=(assumed,), conditions=(condition,))
    text = inspection_text(inspection(verdict="not-proved", outcome="likely", proof=proof))
    assert text.startswith("likely deadlock: ")
    assert "what is assumed, because it cannot be read\n" in text
    assert "no-signal: no SIGTERM comes (the handler is stop, a.py:3)\n" in text
    assert "evidence read in /proc/7/status" in text and ": x" not in text


def test_what_is_likely_stands_beside_what_is_proved() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial", likely=PROOF)
    assert f"\nlikely deadlock of the whole process: {PROOF.sentence}" in inspection_text(found)


def test_text_of_those_who_are_stuck() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial")
    text = stuck_text(found)
    assert text.startswith(f"partial deadlock: {PROOF.sentence}\n\nmain thread 7, stuck: ")
    assert '    File "b.py", line 4, in wait' in text and "pool" not in text
    likely = Doing(pid=7, tid=7, name="main thread 7", does="waits", stuck=False, likely=True)
    many = inspection(outcome="likely", threads=(likely,) * 20)
    assert "likely stuck: waits" in stuck_text(many) and "and 12 threads more" in stuck_text(many)


def test_nothing_could_be_read() -> None:
    found = inspection(
        verdict=Verdict.HANG, proof=None, threads=(), evidence=unknown("it has ended"),
        sentence="no evidence could be read",
    )  # fmt: skip
    assert inspection_text(found).splitlines()[0] == "hang: no evidence could be read"


def test_terminal_controls_of_the_target_do_not_reach_the_terminal() -> None:
    evil = "a\x1b[2Jb\nc\x07"
    thread = ThreadStack(
        tid=8,
        name=evil,
        python=(PythonFrame(function=evil, file=evil, line=1),),
        native=(NativeFrame(symbol=evil, library=evil, address=1),),
        holds_gil=unknown("not read"),
    )
    read = ProcessStacks(pid=7, tool="pystack", begun_s=0.0, ended_s=0.1, threads=(thread,))
    found = inspection(
        threads=(Doing(pid=7, tid=8, name=evil, does=evil, stuck=False),),
        gaps=(Gap(kind="unknown", subject=evil, detail=evil),),
        sentence=evil,
    )
    assert isinstance(found.evidence, Known)
    facts = (StackFacts(pid=7, stacks=known(read, "pystack")),)
    evidence = msgspec.structs.replace(found.evidence.value, stacks=facts, native_stacks=facts)
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "s")))
    assert text.count("[2Jb") >= 6
    assert "\x1b" not in text and "\x07" not in text and "\nc" not in text
