"""What a reader sees of a hung process."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit import proof_factory as make

from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.report import Tool
from deadlock_matrix.model.stack_facts import (
    NativeFrame,
    ProcessStacks,
    RunningTest,
    StackFacts,
    ThreadStack,
)
from deadlock_matrix.model.thread_facts import Switches
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
from deadlock_matrix.render.inspected_threads import NATIVE_FRAMES, idle
from deadlock_matrix.render.inspection import View, inspection_text, stuck_text

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


def test_the_answer_comes_first() -> None:
    text = inspection_text(inspection(), View(source={("b.py", 4): "lock.acquire()"}))
    lines = text.splitlines()
    assert lines[0] == "deadlock: main thread 7 in wait (b.py:4) is stuck for good"
    assert lines[1] == "    b.py:4: lock.acquire()"
    assert lines[2] == f"  {PROOF.sentence}"


def test_whoever_is_in_the_users_own_lines_is_named_first() -> None:
    """A server's own threads, which wait for work, come after those that took the locks."""
    frames = {
        7: PythonFrame(function="serve", file="/v/site-packages/server/loop.py", line=9),
        8: PythonFrame(function="handle", file="app.py", line=5),
    }
    threads = tuple(
        ThreadStack(tid=tid, name="", python=(frame,), native=(), holds_gil=unknown("not read"))
        for tid, frame in frames.items()
    )
    read = ProcessStacks(pid=7, tool="t", begun_s=0.0, ended_s=0.1, threads=threads)
    found = inspection(
        threads=tuple(msgspec.structs.replace(each, stuck=True) for each in DOING[:2])
    )
    assert isinstance(found.evidence, Known)
    evidence = msgspec.structs.replace(
        found.evidence.value, stacks=(StackFacts(pid=7, stacks=known(read, "t")),)
    )
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "t")))
    assert text.splitlines()[0] == (
        "deadlock: thread 8 'pool' in handle (app.py:5) and main thread 7 in serve (loop.py:9) are "
        "stuck for good"
    )


def test_since_when_it_has_not_moved() -> None:
    found = inspection(unmoved_s=known(0.21, "the last progress"))
    assert "process 7: /usr/bin/python3, 0 threads, in the same place for 210 ms" in (
        inspection_text(found)
    )


def test_threads_with_their_frames() -> None:
    text = inspection_text(inspection(), View(source={("a.py", 3): "wait()"}))
    assert "process 7: /usr/bin/python3, 0 threads, glibc 2.36, x86_64" in text
    assert "main thread 7, stuck: waits for mutex 0x10, held by thread 8\n" in text
    assert '    File "a.py", line 3, in <module>\n      wait()\n' in text
    assert '    File "b.py", line 4, in wait\n' in text
    assert "thread 8 'pool', waits" in text and "stuck: waits\n" not in text
    # In one line; and why there is no stack is said.
    assert (
        "\nprocess 9\nno Python stacks: not a Python\n\nmain thread 9, reads from a pipe\n" in text
    )
    assert "native: " not in text


def test_native_frames_are_the_innermost() -> None:
    found = inspection(native=True)
    text = inspection_text(found, View(native=True))
    assert f"... {20 - NATIVE_FRAMES} outer native frames" in text
    assert "native: f19 (libfoo.so)" in text and "f11 (" not in text
    assert "native: f0 (libfoo.so)" in inspection_text(found, View(all_frames=True))
    assert "native: " not in inspection_text(found)  # Python's frames tell more


def test_the_proof_in_words_where_it_is_asked_for() -> None:
    text = inspection_text(inspection(), View(proof=True))
    assert "\nowner proof: " in text
    assert "  thread 7 waits for mutex 0x10 of libfoo.so\n      read in /proc/7/syscall\n" in text
    assert "  mutex 0x10 of libfoo.so held by thread 7\n      read in its owner field" in text
    assert "consists of" not in text
    assert "  process 7: no-timers: none" in text
    without = inspection_text(inspection())
    assert "read in" not in without and "no-timers" not in without and "--proof shows" in without


def test_only_one_process_is_shown() -> None:
    text = inspection_text(inspection(), View(only=7))
    assert "thread 8 'pool'" in text and "main thread 9" not in text
    assert "1 thread of its descendants not shown; --tree shows them" in text
    # A stuck thread is part of the answer, wherever it is.
    text = inspection_text(inspection(), View(only=9))
    assert "main thread 7" in text and "thread 8 'pool'" not in text


def test_what_stands_in_the_way() -> None:
    unread = Gap(kind="unknown", subject="process 7", detail="permission\ndenied")
    likewise = msgspec.structs.replace(GAP, subject="thread 9")
    found = inspection(
        verdict="not-proved", outcome="not-proved", proof=None, sentence="it waits",
        gaps=(GAP, unread, likewise),
        threads=(msgspec.structs.replace(DOING[0], stuck=False, does="joins thread 8"),),
    )  # fmt: skip
    text = inspection_text(found, View(proof=True))
    # The answer and the thread's line say what it waits for, not what keeps it from being proved.
    assert text.startswith("no deadlock proved: main thread 7 in wait (b.py:4) joins thread 8\n")
    assert "\nmain thread 7, joins thread 8\n" in text
    assert "  thread 8 and thread 9: waits in poll with a time limit\n" in text
    assert "  process 7: not known: permission denied" in text
    assert "who waits for whom, and where it was read" not in text


@pytest.mark.parametrize("verdict", [Verdict.HANG, Verdict.SLOW])
def test_a_command_at_its_deadline(verdict: Verdict) -> None:
    found = inspection(
        verdict=verdict, proof=None, sentence="it waits", gaps=(GAP,),
        unmoved_s=known(3.0, "the last progress"),
    )  # fmt: skip
    first = inspection_text(found).splitlines()[0]
    assert first.startswith(f"{verdict.value}: main thread 7 in wait (b.py:4) waits for mutex")
    assert ("in the same place for 3.00 s" in first) is (verdict is Verdict.HANG)


def test_some_threads_only() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial", gaps=(GAP,))
    text = inspection_text(found, View(proof=True))
    assert text.startswith("partial deadlock: ")
    assert "who waits for whom, and where it was read" in text and "what stands in the way" in text


def test_likely_names_what_it_assumes() -> None:
    assumed = [
        Assumption(
            kind=AssumptionKind.NO_SIGNAL,
            subject="process-7",
            detail=f"no SIG{number} comes (the handler is stop, a.py:3)",
            source="/proc/7/status",
        )
        for number in range(6)
    ]
    condition = msgspec.structs.replace(PROOF.conditions[0], detail="x", assumes=tuple(assumed))
    proof = msgspec.structs.replace(PROOF, assumptions=tuple(assumed), conditions=(condition,))
    found = inspection(
        verdict="not-proved", outcome="likely", proof=proof,
        threads=(msgspec.structs.replace(DOING[0], stuck=False, likely=True),),
    )  # fmt: skip
    short = inspection_text(found)
    first = "main thread 7 in wait (b.py:4) is stuck for good, if the assumptions hold\n"
    assert short.startswith(f"likely deadlock: {first}")
    assert "evidence read in" not in short
    # Those that the sentence has no room for are told behind it.
    assert "and if no SIG4 comes" in short and "and if no SIG5 comes" in short
    text = inspection_text(found, View(proof=True))
    assert "what is assumed, because it cannot be read\n" in text
    assert "no-signal: no SIG0 comes (the handler is stop, a.py:3)\n" in text
    assert "evidence read in /proc/7/status" in text and ": x" not in text


def test_what_is_likely_stands_beside_what_is_proved() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial", likely=PROOF)
    assert f"\n  likely deadlock of the whole process: {PROOF.sentence}" in inspection_text(found)


def test_threads_that_are_alike_are_one_entry() -> None:
    def waiting(tid: int, futex: str) -> Doing:
        does = f"waits for futex {futex}"
        return Doing(pid=7, tid=tid, name=f"thread {tid}", does=does, stuck=False)

    one = tuple(waiting(tid, "0x100") for tid in range(100, 400))
    text = inspection_text(inspection(threads=(*DOING, *one)))
    assert "300 threads alike (100, 101, 102, ...), each waits for futex 0x100\n" in text
    own = tuple(waiting(tid, hex(tid)) for tid in range(100, 400))
    found = inspection(threads=(*DOING, *own))
    text = inspection_text(found)
    assert "300 threads alike (100, 101, 102, ...), the first waits for futex 0x64\n" in text
    assert text.count("waits for futex") == 1
    assert inspection_text(found, View(all_frames=True)).count("waits for futex") == 300


def test_many_processes_that_are_alike_are_one_entry() -> None:
    workers = tuple(
        Doing(
            pid=pid,
            tid=pid,
            name=f"main thread of process {pid}",
            does=f"reads from pipe:[{pid}]",
            stuck=False,
        )
        for pid in range(100, 164)
    )
    text = inspection_text(inspection(threads=(DOING[0], *workers)))
    assert "\nprocess 100\nand 63 processes like it: 101, 102, 103, ...\n" in text
    assert text.count("reads from pipe") == 1
    few = inspection_text(inspection(threads=(DOING[0], *workers[:3])))
    assert few.count("reads from pipe") == 3


@pytest.mark.parametrize(("moved", "asleep"), [(0, True), (1, False)])
def test_whether_it_slept_during_the_look(moved: int, asleep: bool) -> None:
    found = inspection()
    assert isinstance(found.evidence, Known)
    evidence = found.evidence.value
    before, after = process(7), process(7)
    threads = [make.sleeping(7), make.sleeping(7)]
    threads[1] = msgspec.structs.replace(
        threads[1], switches=known(Switches(voluntary=1 + moved, involuntary=0), "status")
    )
    threads[0] = msgspec.structs.replace(
        threads[0], switches=known(Switches(voluntary=1, involuntary=0), "status")
    )
    first, second = (
        Snapshot(
            begun_s=at, ended_s=at + 0.1, root=7, outside_holders=unknown("no"),
            processes=(msgspec.structs.replace(facts, threads=(thread,)),),
        )
        for at, facts, thread in zip((1.0, 1.5), (before, after), threads, strict=True)
    )  # fmt: skip
    evidence = msgspec.structs.replace(evidence, before=first, after=second)
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "s")))
    assert ("asleep during the look of 400 ms" in text) is asleep


def test_workers_without_work_are_said_to_be_idle() -> None:
    library = "/usr/lib/python3.12"
    frames = (
        PythonFrame(function="_bootstrap", file=f"{library}/threading.py", line=1),
        PythonFrame(function="_worker", file=f"{library}/concurrent/futures/thread.py", line=90),
    )
    read = ProcessStacks(
        pid=7, tool="t", begun_s=0.0, ended_s=0.1,
        threads=tuple(
            ThreadStack(tid=tid, name="t", python=frames, native=(), holds_gil=unknown("no"))
            for tid in range(100, 128)
        ),
    )  # fmt: skip
    found = inspection(
        threads=(
            DOING[0],
            *(Doing(pid=7, tid=tid, name=f"thread {tid}", does="waits for futex", stuck=False)
              for tid in range(100, 128)),
        )
    )  # fmt: skip
    assert isinstance(found.evidence, Known)
    facts = (StackFacts(pid=7, stacks=known(read, "t")),)
    evidence = msgspec.structs.replace(found.evidence.value, stacks=facts)
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "s")))
    assert "28 threads alike (100, 101, 102, ...), each is idle: a ThreadPoolExecutor's" in text


POOL, QUEUES = "multiprocessing/pool.py", "multiprocessing/queues.py"
EXECUTOR = "concurrent/futures/process.py"


@pytest.mark.parametrize(
    ("calls", "is_idle"),
    [
        ([("worker", POOL)], True),
        ([("worker", POOL), ("SimpleQueue.get", QUEUES), ("_recv", "multiprocessing/c.py")], True),
        ([("worker", POOL), ("SimpleQueue.put", QUEUES), ("_send", "multiprocessing/c.py")], False),
        ([("Queue._feed", QUEUES), ("Condition.wait", "threading.py")], True),
        ([("Queue._feed", QUEUES), ("_send", "multiprocessing/c.py")], False),
        ([("_process_worker", EXECUTOR), ("Queue.get", QUEUES)], True),
        ([("_process_worker", EXECUTOR), ("_sendback_result", EXECUTOR)], False),
        ([("Queue._feed", QUEUES)], False),  # waits for the semaphore of all writers
    ],
)
def test_a_worker_that_hands_something_over_is_not_idle(
    calls: list[tuple[str, str]], is_idle: bool
) -> None:
    frames = [
        PythonFrame(function=function, file=f"/usr/lib/python3.12/{file}", line=1)
        for function, file in calls
    ]
    assert bool(idle(frames)) is is_idle


def test_many_that_are_stuck_alike_are_one_entry_too() -> None:
    stuck = tuple(
        Doing(pid=7, tid=tid, name=f"thread {tid}", does="waits for a lock", stuck=True)
        for tid in range(100, 130)
    )
    text = inspection_text(inspection(threads=stuck))
    assert text.splitlines()[0] == "deadlock: 30 threads are stuck for good"
    assert text.count("stuck: waits for a lock") == 1 and "and 29 threads like it" in text


def test_prose_is_broken_where_a_terminal_ends_and_paths_are_not() -> None:
    path = f"/{'long/' * 30}app.py"
    thread = ThreadStack(
        tid=7, name="main", python=(PythonFrame(function="f", file=path, line=1),), native=(),
        holds_gil=unknown("not read"),
    )  # fmt: skip
    read = ProcessStacks(pid=7, tool="pystack", begun_s=0.0, ended_s=0.1, threads=(thread,))
    found = inspection()
    assert isinstance(found.evidence, Known)
    facts = (StackFacts(pid=7, stacks=known(read, "pystack")),)
    evidence = msgspec.structs.replace(found.evidence.value, stacks=facts)
    proof = msgspec.structs.replace(PROOF, sentence="thread waits " * 30)
    found = msgspec.structs.replace(found, evidence=known(evidence, "s"), proof=proof)
    lines = inspection_text(found, View(width=60)).splitlines()
    assert all(len(line) <= 60 for line in lines if "thread waits" in line)
    assert f"    {path}:1" in lines and f'    File "{path}", line 1, in f' in lines
    assert "\x1b" not in "".join(lines)
    assert inspection_text(found, View(colour=True)).startswith("\x1b[1;31mdeadlock: ")


def test_text_of_those_who_are_stuck() -> None:
    found = inspection(verdict="not-proved", partial=True, outcome="partial")
    text = stuck_text(found)
    assert text.startswith("partial deadlock: main thread 7 in wait (b.py:4) is stuck for good\n")
    assert f"  {PROOF.sentence}\n\nmain thread 7, stuck: " in text
    assert '    File "b.py", line 4, in wait' in text and "pool" not in text
    likely = Doing(pid=7, tid=7, name="main thread 7", does="waits", stuck=False, likely=True)
    many = inspection(outcome="likely", threads=(likely,) * 20)
    assert "likely stuck: waits" in stuck_text(many) and "and 12 threads more" in stuck_text(many)


def test_why_no_tasks_are_shown_is_said_only_where_a_loop_runs() -> None:
    for file, told in (
        ("/lib/python3.13t/asyncio/runners.py", True),
        ("/srv/app/runners.py", False),
    ):
        frame = PythonFrame(function="run", file=file, line=118)
        thread = ThreadStack(
            tid=7, name="main", python=(frame,), native=(), holds_gil=unknown("not read")
        )
        read = ProcessStacks(
            pid=7,
            tool="its memory",
            begun_s=0.0,
            ended_s=0.1,
            threads=(thread,),
            loops=unknown("those of asyncio are not read in a free-threaded build"),
        )
        found = inspection()
        assert isinstance(found.evidence, Known)
        evidence = msgspec.structs.replace(
            found.evidence.value, stacks=(StackFacts(pid=7, stacks=known(read, "its memory")),)
        )
        text = inspection_text(inspection(evidence=known(evidence, "two snapshots")))
        line = "no tasks: those of asyncio are not read in a free-threaded build"
        assert (line in text.splitlines()) == told


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("/v/site-packages/trio/_core/_run.py", "the tasks of trio are not read"),
        (
            "/v/site-packages/gevent/hub.py",
            "the greenlets of gevent are not read, but for the one that runs",
        ),
    ],
)
def test_tasks_of_others_are_said_to_be_unread(file: str, told: str) -> None:
    """An answer about the loop's own wait would be one about an innocent thread."""
    frame = PythonFrame(function="run", file=file, line=118)
    thread = ThreadStack(
        tid=7, name="main", python=(frame,), native=(), holds_gil=unknown("not read")
    )
    read = ProcessStacks(
        pid=7, tool="its memory", begun_s=0.0, ended_s=0.1, threads=(thread,),
        loops=known((), "its memory: no thread runs a loop of asyncio"),
    )  # fmt: skip
    found = inspection(verdict="not-proved", outcome="not-proved", proof=None)
    assert isinstance(found.evidence, Known)
    evidence = msgspec.structs.replace(
        found.evidence.value, stacks=(StackFacts(pid=7, stacks=known(read, "its memory")),)
    )
    lines = inspection_text(
        msgspec.structs.replace(found, evidence=known(evidence, "t"))
    ).splitlines()
    assert f"; {told}" in lines[0] and told in lines[1:]


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ([("main", "multiprocessing/resource_tracker.py")], False),
        ([("main", "multiprocessing/forkserver.py"), ("select", "selectors.py")], False),
        ([("main", "multiprocessing/forkserver.py"), ("job", "app.py")], True),
        ([("main", "multiprocessing/forkserver.py"), ("run", "app.py"), ("select", "selectors.py")],
         True),
        ([("main", "resource_tracker.py")], True),
    ],
)  # fmt: skip
def test_a_helper_of_multiprocessing_is_no_lead(calls: list[tuple[str, str]], told: bool) -> None:
    """It waits for orders all the time; a child that the fork server made is another matter."""
    frames = tuple(
        PythonFrame(function=function, file=f"/usr/lib/python3.14/{file}", line=1)
        for function, file in (("<module>", "string"), *calls)
    )
    thread = ThreadStack(
        tid=9, name="main", python=frames, native=(), holds_gil=unknown("not read")
    )
    read = ProcessStacks(pid=9, tool="its memory", begun_s=0.0, ended_s=0.1, threads=(thread,))
    found = inspection(verdict="not-proved", outcome="not-proved", proof=None)
    assert isinstance(found.evidence, Known)
    evidence = msgspec.structs.replace(
        found.evidence.value, stacks=(StackFacts(pid=9, stacks=known(read, "its memory")),)
    )
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "t")))
    assert ("main thread 9" in text.splitlines()[0]) is told


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
    found = msgspec.structs.replace(found, evidence=known(evidence, "s"))
    text = inspection_text(found, View(native=True, source={(evil, 1): evil}))
    assert text.count("[2Jb") >= 6
    assert "\x1b" not in text and "\x07" not in text and "\nc" not in text


def test_the_tests_that_hang_are_named() -> None:
    def stack(pid: int, name: str) -> StackFacts:
        test = RunningTest(runner="pytest", doing="in the call of", test=name)
        thread = ThreadStack(
            tid=pid,
            name="",
            python=(),
            native=(),
            holds_gil=unknown("not read"),
            test=known(test, "frames"),
        )
        of_process = ProcessStacks(pid=pid, tool="", begun_s=0, ended_s=0, threads=(thread,))
        return StackFacts(pid=pid, stacks=known(of_process, "memory"))

    first, second = process(7), msgspec.structs.replace(process(9), parent=7)
    child = msgspec.structs.replace(process(11), parent=9)
    looked = inspection()
    evidence = looked.evidence
    assert isinstance(evidence, Known)
    after = msgspec.structs.replace(evidence.value.after, processes=(first, second, child))
    both = msgspec.structs.replace(
        evidence.value, after=after, stacks=(stack(9, "test_b.py::test_b"), stack(7, "test_a[\n]"))
    )

    def shown(*stuck: int) -> list[str]:
        threads = [msgspec.structs.replace(DOING[0], pid=pid, tid=pid) for pid in stuck]
        found = msgspec.structs.replace(
            looked, evidence=known(both, "snapshots"), threads=tuple(threads)
        )
        return [line for line in inspection_text(found).splitlines() if "(pytest" in line]

    assert shown(7) == ["  in the call of test_a[ ] (pytest)"]
    assert shown(11) == ["  in the call of test_b.py::test_b (pytest)"]  # its parent runs it
    assert shown(7, 9) == [
        "  in the call of test_a[ ] (pytest, process 7)",
        "  in the call of test_b.py::test_b (pytest, process 9)",
    ]


def test_an_executable_that_an_upgrade_has_replaced() -> None:
    found = inspection()
    assert isinstance(found.evidence, Known)
    evidence = found.evidence.value
    facts = msgspec.structs.replace(
        process(7), executable=known("/usr/bin/python3.11 (deleted)", "exe")
    )
    after = msgspec.structs.replace(evidence.after, processes=(facts,))
    evidence = msgspec.structs.replace(evidence, after=after)
    text = inspection_text(msgspec.structs.replace(found, evidence=known(evidence, "s")))
    assert "process 7: /usr/bin/python3.11, whose file was removed or replaced since, " in text
