"""Signs, one kind at a time: seen, absent, or nobody could look; and what follows from them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from unit import proof_factory as make

from deadlock_matrix.diagnosis.recognition.cause_file import parse_cause
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.match import (
    ABSENT,
    Absent,
    Look,
    Seen,
    Unlooked,
)
from deadlock_matrix.diagnosis.recognition.matchers import look_for
from deadlock_matrix.diagnosis.recognition.recognise import (
    recognise,
    recognise_in,
    recognise_inspected,
)
from deadlock_matrix.diagnosis.recognition.traces import Judged, Traces
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.cell import (
    Calling,
    Cell,
    Context,
    Entry,
    Interpreter,
    Layout,
    Profile,
    Stdin,
)
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    ImportStep,
    Leftovers,
    Observation,
    Output,
    Raised,
    Signalled,
    Stopped,
)
from deadlock_matrix.model.process_facts import Library
from deadlock_matrix.model.report import Tool
from deadlock_matrix.model.stack_facts import NativeFrame, ProcessStacks, StackFacts, ThreadStack
from deadlock_matrix.model.thread_facts import Code
from deadlock_matrix.model.verdict import Doing, Gap, Judgement, Node, Proof, ProofKind, Verdict
from deadlock_matrix.proof.judge import judge

change = msgspec.structs.replace
HIDDEN = unknown("hidden")
NOTHING = Traces(
    verdict=HIDDEN, calling=HIDDEN, stdin=HIDDEN, environment=HIDDEN, stdout=HIDDEN,
    stderr=HIDDEN, end=HIDDEN, raised=HIDDEN, chains=HIDDEN, loaded=HIDDEN, judged=HIDDEN,
    machine=HIDDEN, threads=HIDDEN, fingerprint=HIDDEN,
)  # fmt: skip
CELL = Cell(
    target="t",
    interpreter=Interpreter(name="python"),
    profile=Profile(name="p"),
    layout=Layout(name="l"),
    entry=Entry(name="e", statement="import x"),
    context=Context(name="main"),
)


def cause(**lists: Any) -> Cause:
    table = {
        "title": "t",
        "explanation": "e",
        "remedy": [{"advice": "a", "confirmed": "derived"}],
        **lists,
    }
    return parse_cause("some-cause", table)


def look(traces: Traces, sign: str, **keys: Any) -> Look:
    telling = {"sign": "output", "what": "w", "pattern": "x"}
    (_, made) = cause(all=[telling, {"sign": sign, "what": "w", **keys}]).all
    return look_for(made, traces)


def where(found: Look) -> str:
    assert isinstance(found, Seen), found
    return found.where


def said(kept: str) -> Traces:
    return change(NOTHING, stderr=known(Output(size=len(kept), kept=kept), "stderr"))


def library(path: str, *symbols: str) -> NativeLibrary:
    return NativeLibrary(
        name="protobuf",
        kind=LibraryKind.PROTOBUF,
        path=path,
        version=HIDDEN,
        shared_symbols=symbols,
    )


def installed(*libraries: NativeLibrary, **packages: str) -> Traces:
    fingerprint = Fingerprint(
        name="python",
        executable="/python",
        version="3.11.7",
        implementation="cpython",
        build="",
        distribution="",
        free_threaded=False,
        packages=packages,
        libraries=known(libraries, "files"),
    )
    return change(NOTHING, fingerprint=known(fingerprint, "test"))


# --- signs that need no evidence ----------------------------------------------------------------


def test_output() -> None:
    traces = said("a\nOMP: Error #15 by lib7\n")
    assert where(look(traces, "output", pattern="#15 by lib.")) == "stderr, line 2: '#15 by lib7'"
    assert look(traces, "output", pattern="#16") == ABSENT
    assert isinstance(look(traces, "output", stream="stdout", pattern="#15"), Unlooked)


def test_output_of_which_a_part_is_gone_is_not_known_to_lack_anything() -> None:
    cut = said("a\n[... 70000 bytes cut here ...]\nb")
    assert isinstance(look(cut, "output", pattern="#15"), Unlooked)
    assert isinstance(look(cut, "output", pattern="^b$"), Seen)


def test_meaning_of_what_was_printed() -> None:
    keys: dict[str, Any] = {"pattern": r"line (?P<n>\d)", "meanings": {"n": {"4": "release four"}}}
    assert where(look(said("line 4"), "output", **keys)).endswith("(release four)")
    assert where(look(said("line 5"), "output", **keys)).endswith("(n 5 is not known here)")


def test_raised() -> None:
    raised = Raised(type="ImportError", message="no libgomp here", traceback="")
    traces = change(NOTHING, raised=known((raised,), "probe"))
    assert isinstance(look(traces, "raised", type="ImportError", message="libgomp"), Seen)
    assert look(traces, "raised", type="Import") == ABSENT
    assert look(traces, "raised", message="libomp") == ABSENT
    assert look(change(NOTHING, raised=known((), "probe")), "raised") == ABSENT
    assert isinstance(look(NOTHING, "raised"), Unlooked)


def test_end() -> None:
    aborted = change(NOTHING, end=known(Signalled(signal=6), "wait"))
    exited = change(NOTHING, end=known(Exited(status=1), "wait"))
    assert isinstance(look(aborted, "end", signals=[6]), Seen)
    assert look(aborted, "end", statuses=[6]) == ABSENT
    assert isinstance(look(exited, "end", statuses=[0, 1]), Seen)
    assert isinstance(look(NOTHING, "end", statuses=[1]), Unlooked)


def test_verdict_and_context() -> None:
    traces = change(
        NOTHING,
        verdict=known(Verdict.HANG, "result"),
        calling=known(Calling.FORK, "cell"),
        stdin=known(Stdin.NULL, "cell"),
    )
    assert isinstance(look(traces, "verdict", verdicts=["hang", "slow"]), Seen)
    assert look(traces, "verdict", verdicts=["crash"]) == ABSENT
    assert isinstance(look(traces, "context", calling=["fork"]), Seen)
    assert look(traces, "context", calling=["fork"], stdin=["silent-pipe"]) == ABSENT
    assert isinstance(look(NOTHING, "context", stdin=["null"]), Unlooked)


@pytest.mark.parametrize(
    ("libc", "expected"),
    [("glibc 2.28", Seen), ("glibc 2.34", Absent), ("musl", Absent), ("not read", Unlooked)],
)
def test_platform(libc: str, expected: type) -> None:
    machine = make.evidence(make.process(make.sleeping(1)), libc=libc).machine
    traces = change(NOTHING, machine=known(machine, "uname"))
    assert isinstance(look(traces, "platform", systems=["linux"], glibc="<2.34"), expected)
    assert isinstance(look(traces, "platform", systems=["linux"]), Seen)
    assert look(traces, "platform", systems=["darwin"]) == ABSENT


def test_packages() -> None:
    traces = installed(tensorflow="2.20.0", Py_Arrow="26.0.1", torch="2.13.0+cpu", odd="unreleased")
    assert where(look(traces, "packages", versions={"tensorflow": ">=2.20", "py-arrow": ""})) == (
        "tensorflow 2.20.0, py-arrow 26.0.1"
    )
    assert look(traces, "packages", versions={"tensorflow": "<2.20"}) == ABSENT
    assert look(traces, "packages", versions={"tink": ""}) == ABSENT
    assert isinstance(look(traces, "packages", versions={"torch": "==2.13.0"}), Seen)
    assert isinstance(look(traces, "packages", versions={"odd": ">1"}), Unlooked)
    assert isinstance(look(traces, "packages", python=">=3.11"), Seen)
    assert isinstance(look(NOTHING, "packages", versions={"tink": ""}), Unlooked)


def test_environment() -> None:
    traces = change(NOTHING, environment=known({"KMP": "TRUE"}, "probe"))
    assert isinstance(look(traces, "environment", variables={"KMP": "(?i)true"}), Seen)
    assert look(traces, "environment", variables={"KMP": "TRU"}) == ABSENT
    unset = look(traces, "environment", variables={"OMP": "1"})
    assert isinstance(unset, Unlooked) and "later" in unset.why


def test_symbols() -> None:
    one, two = library("/a/libarrow.so", "data", "other"), library("/b/libtf.so", "data")
    assert where(look(installed(one, two), "symbols", pattern="data")) == (
        "data in libarrow.so and libtf.so"
    )
    assert look(installed(one), "symbols", pattern="data") == ABSENT
    assert look(installed(one, two), "symbols", pattern="other") == ABSENT
    assert isinstance(look(NOTHING, "symbols", pattern="data"), Unlooked)


def test_finished_imports() -> None:
    steps = tuple(
        ImportStep(module=name, importer="", file="", line=1)
        for name in ("mine", "transformers.utils", "tensorflow")
    )
    traces = change(NOTHING, chains=known({"tensorflow": steps}, "probe"), threads=known((), "t"))
    keys = {"chain": [r"transformers(\..*)?", "tensorflow"]}
    assert where(look(traces, "imports", **keys)).endswith("transformers.utils > tensorflow")
    assert look(traces, "imports", chain=["tensorflow", "transformers"]) == ABSENT
    assert isinstance(look(NOTHING, "imports", **keys), Unlooked)


def test_reader_is_never_sure() -> None:
    assert isinstance(look(NOTHING, "reader"), Unlooked)


# --- evidence -----------------------------------------------------------------------------------


def result(seen: Evidence | None, verdict: Verdict = Verdict.HANG, **facts: Any) -> CellResult:
    observation = Observation(
        **{
            "phase": "entry",
            "end": Stopped(reason="deadline"),
            "duration_s": 1.0,
            "last_progress_s": HIDDEN,
            "probe": unknown("it was stopped"),
            "raised": None,
            "stdout": Output(size=0, kept=""),
            "stderr": Output(size=0, kept=""),
            "evidence": known(seen, "test") if seen is not None else HIDDEN,
            "leftovers": Leftovers(ended=0, alive=()),
            "command": (),
            **facts,
        }
    )
    return CellResult(
        cell=CELL,
        verdict=verdict,
        why="",
        observation=known(observation, "test"),
        judgement=judge(seen) if seen is not None else None,
    )


def thread_look(seen: Evidence, *threads: dict[str, Any], **keys: Any) -> Look:
    from deadlock_matrix.diagnosis.recognition.gathering import of_result

    return look(of_result(result(seen), HIDDEN), "threads", thread=list(threads), **keys)


def forked(child: Any, parent_at: int = 0x1000, **facts: Any) -> Evidence:
    """A parent that waits for a child; the child has its libraries where it always has them."""

    def mapped(start: int) -> Known[tuple[Library, ...]]:
        return known((Library(path="/lib/libc.so.6", start=start),), "maps")

    parent = make.process(make.in_call(1, "wait4", 2), libraries=mapped(parent_at))
    below = make.process(child, parent=1, libraries=mapped(0x1000))
    return make.evidence(parent, below, **facts)


def test_forked_child_is_told_from_a_new_program() -> None:
    pattern = {"forked": True, "waits": ["futex"]}
    assert where(thread_look(forked(make.on_futex(2)), pattern)) == "thread 2"
    assert thread_look(forked(make.on_futex(2), parent_at=0x2000), pattern) == ABSENT


def test_child_without_known_libraries_may_be_forked() -> None:
    parent, child = make.process(make.sleeping(1)), make.process(make.on_futex(2), parent=1)
    pattern = {"forked": True, "waits": ["futex"]}
    assert isinstance(thread_look(make.evidence(parent, child), pattern), Unlooked)


def test_first_process_is_a_new_program_in_a_run_and_unknown_to_an_inspection() -> None:
    seen = make.evidence(make.process(make.on_futex(1)))
    pattern = {"forked": True, "waits": ["futex"]}
    assert thread_look(seen, pattern) == ABSENT
    known_cause = cause(
        all=[{"sign": "threads", "what": "forked", "thread": [pattern]},
             {"sign": "threads", "what": "waits", "thread": [{"waits": ["futex"]}]}]
    )  # fmt: skip
    (found,) = recognise_inspected(inspection(seen), [known_cause])
    assert (found.certainty, found.unknown[0].what) == ("possible", "forked")


def test_child_of_multiprocessing_shows_that_it_was_forked() -> None:
    def seen(file: str) -> Evidence:
        stack = make.stack(1, make.frame("_launch", file), make.frame("work"))
        return make.evidence(make.process(make.on_futex(1)), stacks=(make.stacks(1, stack),))

    known_cause = cause(all=[{"sign": "threads", "what": "w", "thread": [{"forked": True}]}])
    forked_one = inspection(seen("/usr/lib/python3.11/multiprocessing/popen_fork.py"))
    assert len(recognise_inspected(forked_one, [known_cause])) == 1
    spawned = inspection(seen("/usr/lib/python3.11/multiprocessing/popen_spawn_posix.py"))
    assert recognise_inspected(spawned, [known_cause]) == ()


def test_child_that_lost_its_parent_may_be_forked() -> None:
    first, orphan = make.process(make.sleeping(1)), make.process(make.on_futex(2), parent=99)
    pattern = {"forked": True, "waits": ["futex"]}
    assert isinstance(thread_look(make.evidence(first, orphan), pattern), Unlooked)


@pytest.mark.parametrize(
    ("thread", "wait"),
    [
        (make.on_futex(1), "futex"),
        (make.on_futex(1, timeout=known(make.LIMITED, "argument")), "timed-futex"),
        (make.wanting_gil(1), "gil"),
        (make.in_call(1, "wait4", 2), "child"),
        (make.in_call(1, "read", 0), "read"),
        (make.in_call(1, "writev", 1), "write"),
        (make.in_call(1, "ppoll"), "poll"),
        (make.sleeping(1), "sleep"),
        (make.running(1), "running"),
        (make.in_call(1, "mount"), "other"),
    ],
)
def test_waits(thread: Any, wait: str) -> None:
    seen = make.evidence(make.process(thread, python=make.python()))
    assert isinstance(thread_look(seen, {"waits": [wait]}), Seen)
    others = {"futex", "timed-futex", "gil", "child", "read", "write", "poll", "sleep"} - {wait}
    assert thread_look(seen, {"waits": sorted(others)}) == ABSENT


def test_limited_wait_without_a_known_interpreter_may_be_for_the_gil() -> None:
    seen = make.evidence(make.process(make.wanting_gil(1)))
    assert isinstance(thread_look(seen, {"waits": ["gil"]}), Unlooked)


def test_descriptor() -> None:
    seen = make.evidence(make.process(make.in_call(1, "read", 0)))
    assert isinstance(thread_look(seen, {"waits": ["read"], "descriptors": [0]}), Seen)
    assert thread_look(seen, {"waits": ["read"], "descriptors": [3]}) == ABSENT


def test_where_it_is_blocked_and_where_the_lock_lies() -> None:
    code = Code(library="/x/libgomp-12.so.1", is_libc=False, in_syscall_wrapper=False)
    thread = make.on_futex(1, path="/x/libgomp-12.so.1", code=known(code, "maps"))
    seen = make.evidence(make.process(thread))
    assert where(thread_look(seen, {"blocked-in": "libgomp"})) == "thread 1, inside libgomp-12.so.1"
    assert isinstance(thread_look(seen, {"word-in": "libgomp"}), Seen)
    assert thread_look(seen, {"blocked-in": "gomp"}) == ABSENT
    hidden = make.evidence(make.process(change(thread, code=HIDDEN)))
    assert isinstance(thread_look(hidden, {"blocked-in": "libgomp"}), Unlooked)


def test_word_of_a_confused_mutex() -> None:
    apple = (0x4D555458).to_bytes(8, "little")  # "MUTX"
    pattern = {"word": "5[89a-f]54554d"}
    seen = make.evidence(make.process(make.on_futex(1, apple)))
    assert isinstance(thread_look(seen, pattern), Seen)
    aside = make.on_futex(1, b"\1\0\0\0" + apple, read_from=make.LOCK)
    assert thread_look(make.evidence(make.process(aside)), pattern) == ABSENT
    spinning = make.evidence(make.process(make.sleeping(1)))
    assert isinstance(thread_look(spinning, pattern), Unlooked)


def test_alone() -> None:
    one = make.evidence(make.process(make.on_futex(1)))
    two = make.evidence(make.process(make.on_futex(1), make.on_futex(2)))
    assert isinstance(thread_look(one, {"alone": True}), Seen)
    assert thread_look(two, {"alone": True}) == ABSENT


def with_stacks(*stacks: ThreadStack, threads: int = 0) -> Evidence:
    tids = range(1, (threads or len(stacks)) + 1)
    process = make.process(*[make.on_futex(tid) for tid in tids])
    return make.evidence(process, stacks=(make.stacks(1, *stacks),))


def test_frames_in_order_with_others_between() -> None:
    outer, inner = make.frame("work", "/a/pool.py"), make.frame("wait", r"C:\lib\threading.py", 7)
    seen = with_stacks(make.stack(1, outer, make.frame("other"), inner))
    pattern = [{"function": "work"}, {"function": "wait", "file": r"/threading\.py$"}]
    assert where(thread_look(seen, {"frames": pattern})) == "thread 1 in wait (threading.py:7)"
    assert thread_look(seen, {"frames": pattern[::-1]}) == ABSENT
    assert thread_look(seen, {"frames": [{"function": "wor"}]}) == ABSENT
    assert isinstance(thread_look(seen, {"frames": pattern, "innermost": True}), Seen)
    assert thread_look(seen, {"frames": pattern[:1], "innermost": True}) == ABSENT


def test_frames_that_were_not_read() -> None:
    seen = make.evidence(make.process(make.on_futex(1)))
    assert isinstance(thread_look(seen, {"frames": [{"function": "work"}]}), Unlooked)


def test_thread_that_python_does_not_know_has_no_frames() -> None:
    seen = with_stacks(make.stack(1, make.frame("work")), threads=2)
    two = [{"frames": [{"function": "work"}]}, {"frames": [{}]}]
    assert thread_look(seen, *two) == ABSENT


def test_groups_mean_one_text_in_all_threads() -> None:
    def joining(target: str) -> dict[str, Any]:
        return {"frames": [{"function": "join", "values": {"self": f"(?P<{target}>0x[0-9a-f]+)"}}]}

    joined = {"frames": [{"function": "_bootstrap", "values": {"self": "(?P<t>0x[0-9a-f]+)"}}]}

    def stacks(other: str) -> Evidence:
        return with_stacks(
            make.stack(1, make.frame("join", self="<Thread at 0xa>")),
            make.stack(2, make.frame("_bootstrap", self=f"<Thread at {other}>")),
        )

    assert isinstance(thread_look(stacks("0xa"), joining("t"), joined), Seen)
    assert thread_look(stacks("0xb"), joining("t"), joined) == ABSENT
    assert isinstance(thread_look(stacks("0xb"), joining("u"), joined), Seen)


def test_one_thread_does_not_count_twice() -> None:
    seen = with_stacks(make.stack(1, make.frame("work")))
    wanted = {"frames": [{"function": "work"}]}
    assert isinstance(thread_look(seen, wanted), Seen)
    assert thread_look(seen, wanted, wanted) == ABSENT


def test_threads_of_one_process_or_of_the_tree() -> None:
    seen = forked(make.on_futex(2))
    pair = [{"waits": ["child"]}, {"waits": ["futex"]}]
    assert thread_look(seen, *pair) == ABSENT
    assert where(thread_look(seen, *pair, within="tree")) == "thread 1, thread 2"


def test_holder_of_the_gil() -> None:
    seen = with_stacks(make.stack(1, gil=True), make.stack(2, gil=False))
    assert where(thread_look(seen, {"holds-gil": True})) == "thread 1"
    assert isinstance(
        thread_look(with_stacks(make.stack(1, gil=None)), {"holds-gil": True}), Unlooked
    )


def native(*symbols: tuple[str, str]) -> Evidence:
    frames = tuple(NativeFrame(symbol=s, library=f"/x/{name}", address=1) for s, name in symbols)
    stack = ThreadStack(tid=1, name="", python=(), native=frames, holds_gil=HIDDEN)
    read = ProcessStacks(pid=1, tool="pystack", begun_s=1, ended_s=2, threads=(stack,))
    facts = StackFacts(pid=1, stacks=known(read, "pystack"))
    return change(make.evidence(make.process(make.on_futex(1))), native_stacks=(facts,))


def test_native_frames() -> None:
    wanted = [{"symbol": "dl_?open"}, {"symbol": "__kmp_join", "library": "libiomp5"}]
    inside = native(("_dl_open", "ld.so"), ("__kmp_join_barrier", "libiomp5.so"))
    assert "below __kmp_join_barrier (libiomp5.so)" in where(
        thread_look(inside, {"native": wanted})
    )
    other_order = native(("__kmp_join_barrier", "libiomp5.so"), ("_dl_open", "ld.so"))
    assert thread_look(other_order, {"native": wanted}) == ABSENT
    unread = make.evidence(make.process(make.on_futex(1)))
    assert isinstance(thread_look(unread, {"native": wanted}), Unlooked)


def test_libraries_of_one_process() -> None:
    from deadlock_matrix.diagnosis.recognition.gathering import of_result

    def traces(*paths: str) -> Traces:
        mapped = known(tuple(Library(path=path, start=1) for path in paths), "maps")
        return of_result(
            result(make.evidence(make.process(make.sleeping(1), libraries=mapped))), HIDDEN
        )

    pair = {"together": [r"lib(iomp5|omp)\.", r"lib(iomp5|omp)\."]}
    found = look(traces("/a/libiomp5.so", "/b/libomp.so"), "libraries", **pair)
    assert where(found) == "libiomp5.so, libomp.so in process 1"
    assert isinstance(look(traces("/a/libomp.so", "/b/libomp.so"), "libraries", **pair), Seen)
    assert look(traces("/a/libomp.so", "/a/libgomp.so"), "libraries", **pair) == ABSENT
    assert isinstance(look(NOTHING, "libraries", **pair), Unlooked)
    loaded = change(NOTHING, loaded=known(("/a/libomp.so", "/b/libiomp5.so"), "probe"))
    assert isinstance(look(loaded, "libraries", **pair), Seen)


def judged(*nodes: Node, gaps: tuple[Gap, ...] = ()) -> Traces:
    proof = Proof(kind=ProofKind.OWNER, sentence="", roots=(), nodes=nodes, edges=(), conditions=())
    return change(NOTHING, judged=known(Judged(proof=proof if nodes else None, gaps=gaps), "test"))


def test_proof() -> None:
    gil, lock = (
        Node(id="g", kind="gil", label="the GIL"),
        Node(id="l", kind="lock", label="mutex 1"),
    )
    assert look(judged(gil), "proof", nodes=["gil", "lock"]) == ABSENT
    seen = make.evidence(make.process(make.in_join(1, 2), make.in_join(2, 1)))
    from deadlock_matrix.diagnosis.recognition.gathering import of_result

    joins = of_result(result(seen), HIDDEN)
    assert isinstance(look(joins, "proof", nodes=["end"], label="end of thread 2"), Seen)
    assert isinstance(look(joins, "proof", source="joined thread's id 2"), Seen)
    assert look(joins, "proof", source="joined thread's id 3") == ABSENT
    assert look(judged(gil, lock), "proof", label="mutex 2") == ABSENT
    assert look(judged(), "proof", nodes=["gil"]) == ABSENT
    unread = judged(gaps=(Gap(kind="unknown", subject="thread 1", detail="who holds the GIL"),))
    assert isinstance(look(unread, "proof", nodes=["gil"]), Unlooked)
    assert isinstance(look(NOTHING, "proof", nodes=["gil"]), Unlooked)


# --- what follows from them ---------------------------------------------------------------------

TELLING = {"sign": "output", "what": "it says A", "pattern": "A"}
ABSENT_SIGN = {"sign": "output", "what": "it says B", "pattern": "B"}
UNKNOWN_SIGN = {"sign": "packages", "what": "tensorflow", "versions": {"tensorflow": ""}}
VERDICT = {"sign": "verdict", "what": "it hangs", "verdicts": ["hang"]}


@pytest.mark.parametrize(
    ("lists", "certainty"),
    [
        ({"all": [TELLING]}, "recognised"),
        ({"all": [TELLING, ABSENT_SIGN]}, None),
        ({"all": [TELLING, UNKNOWN_SIGN]}, "possible"),
        ({"any": [ABSENT_SIGN, TELLING]}, "recognised"),
        ({"any": [UNKNOWN_SIGN, TELLING]}, "recognised"),
        ({"any": [ABSENT_SIGN]}, None),
        ({"any": [ABSENT_SIGN, UNKNOWN_SIGN]}, None),  # nothing that tells was seen
        ({"all": [TELLING], "any": [ABSENT_SIGN, UNKNOWN_SIGN]}, "possible"),
        ({"all": [TELLING], "any": [ABSENT_SIGN]}, None),
        ({"all": [TELLING], "none": [ABSENT_SIGN]}, "recognised"),
        ({"all": [TELLING], "none": [TELLING]}, None),
        ({"all": [TELLING], "none": [UNKNOWN_SIGN]}, "possible"),
        ({"all": [TELLING], "also": [ABSENT_SIGN, UNKNOWN_SIGN]}, "recognised"),
    ],
)
def test_recognition(lists: dict[str, Any], certainty: str | None) -> None:
    found = recognise_in(said("A"), [cause(**lists)])
    assert [each.certainty for each in found] == ([certainty] if certainty else [])


def test_every_sign_is_accounted_for() -> None:
    also = {"sign": "output", "what": "it says A too", "pattern": "A"}
    made = cause(all=[TELLING, VERDICT], none=[UNKNOWN_SIGN], also=[also])
    (found,) = recognise_in(said("A"), [made])
    assert [each.what for each in found.seen] == ["it says A", "it says A too"]
    assert [each.what for each in found.unknown] == ["it hangs", "not: tensorflow"]
    assert all(each.detail for each in (*found.seen, *found.unknown))


def test_recognised_ones_come_first() -> None:
    unsure, sure = cause(all=[TELLING, UNKNOWN_SIGN]), cause(all=[TELLING])
    found = recognise_in(said("A"), [unsure, sure])
    assert [each.cause for each in found] == [sure, unsure]


def test_what_came_out_well_has_no_cause() -> None:
    hung = result(None, stderr=Output(size=1, kept="A"))
    known_cause = [cause(all=[TELLING])]
    assert len(recognise(hung, HIDDEN, known_cause)) == 1
    for verdict in (Verdict.OK, Verdict.UNAVAILABLE):
        assert recognise(change(hung, verdict=verdict), HIDDEN, known_cause) == ()


def test_cell_that_was_not_observed() -> None:
    failed = change(result(None), observation=unknown("it could not be started"))
    assert recognise(failed, HIDDEN, [cause(all=[TELLING])]) == ()
    assert recognise(failed, HIDDEN, [cause(all=[TELLING, VERDICT])]) == ()


def inspection(seen: Evidence, **facts: Any) -> Inspection:
    judgement: Judgement = judge(seen)
    return Inspection(
        **{
            "tool": Tool(name="t", version="1", python="3.11"),
            "subject": "process 1",
            "verdict": "not-proved",
            "partial": False,
            "sentence": "",
            "proof": judgement.proof,
            "gaps": judgement.gaps,
            "threads": judgement.threads,
            "libraries": (),
            "detected_after_s": HIDDEN,
            "evidence": known(seen, "test"),
            **facts,
        }
    )


@pytest.mark.parametrize(
    ("facts", "certainty"),
    [
        ({"verdict": "deadlock"}, "recognised"),
        ({"verdict": "not-proved", "partial": True}, "recognised"),
        ({"verdict": "not-proved", "outcome": "likely"}, "recognised"),
        ({"verdict": "not-proved"}, "possible"),  # one look does not tell a hang
        ({"verdict": "slow"}, None),
    ],
)
def test_inspection(facts: dict[str, Any], certainty: str | None) -> None:
    thread = {"sign": "threads", "what": "waits", "thread": [{"waits": ["futex"]}]}
    stuck = {"sign": "verdict", "what": "stuck", "verdicts": ["deadlock", "hang"]}
    seen = make.evidence(make.process(make.on_futex(1)))
    found = recognise_inspected(inspection(seen, **facts), [cause(all=[thread, stuck])])
    assert [each.certainty for each in found] == ([certainty] if certainty else [])


def test_a_cause_that_needs_a_deadlock_is_not_possible_where_somebody_can_go_on() -> None:
    thread = {"sign": "threads", "what": "waits", "thread": [{"waits": ["futex"]}]}
    stuck = {"sign": "verdict", "what": "stuck", "verdicts": ["deadlock"]}
    known_cause = cause(all=[thread, stuck])
    alive = make.evidence(make.process(make.sleeping(1), make.on_futex(2)))
    assert recognise_inspected(inspection(alive), [known_cause]) == ()
    hidden = make.evidence(make.process(make.on_futex(1, timeout=make.UNKNOWN), make.on_futex(2)))
    found = recognise_inspected(inspection(hidden), [known_cause])
    assert [each.certainty for each in found] == ["possible"]


def test_words_of_the_judgement() -> None:
    seen = make.evidence(make.process(make.on_mutex(1, 999, path="/x/libheld.so")))
    assert re.search("mutex 0x.* of libheld.so", where(thread_look(seen, {"lock": "mutex 0x"})))
    assert isinstance(thread_look(seen, {"lock": "mutex 0x", "does": "^waits for"}), Seen)
    assert thread_look(seen, {"does": "holds itself"}) == ABSENT
    moving = make.evidence(make.process(make.running(1)))
    assert isinstance(thread_look(moving, {"lock": "mutex"}), Unlooked)


def test_doings_of_an_inspection_are_read() -> None:
    seen = make.evidence(make.process(make.on_futex(1)))
    doing = (Doing(pid=1, tid=1, name="main thread 1", does="counts sheep", stuck=False),)
    thread = {"sign": "threads", "what": "counts", "thread": [{"does": "sheep"}]}
    found = recognise_inspected(inspection(seen, threads=doing), [cause(all=[thread])])
    assert len(found) == 1


def test_unknown_is_a_fact_with_a_reason() -> None:
    assert isinstance(NOTHING.stderr, Unknown)
    looked = look(NOTHING, "output", pattern="A")
    assert isinstance(looked, Unlooked) and "hidden" in looked.why
