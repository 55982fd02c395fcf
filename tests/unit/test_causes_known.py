"""Known causes that nobody here has recorded: what they look for is built, and taken away again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit import proof_factory as make
from unit.test_causes import inspection, installed, library, native, result, said

from deadlock_matrix.causes import load_causes
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.gathering import of_result
from deadlock_matrix.diagnosis.recognition.recognise import (
    recognise,
    recognise_in,
    recognise_inspected,
)
from deadlock_matrix.diagnosis.recognition.traces import Traces
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import Output, Signalled
from deadlock_matrix.model.process_facts import Descriptor, Library
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.thread_facts import Code
from deadlock_matrix.model.verdict import Verdict

change = msgspec.structs.replace
CAUSES = load_causes()
NO_FINGERPRINT = unknown("none")
LIBC = Library(path="/lib/libc.so.6", start=0x1000)
IMPORTLIB = "<frozen importlib._bootstrap>"


def names(traces: Traces, certainty: str = "recognised") -> list[str]:
    found = recognise_in(traces, CAUSES)
    return [each.cause.name for each in found if each.certainty == certainty]


def hung(seen: Evidence, verdict: Verdict = Verdict.HANG, **facts: Any) -> Traces:
    return of_result(result(seen, verdict, **facts), NO_FINGERPRINT)


def with_libraries(seen: Evidence, *paths: str) -> Evidence:
    """With these mapped in every process, at the addresses a fork would leave them at."""
    libraries = known((LIBC, *(Library(path=path, start=0x2000) for path in paths)), "maps")
    processes = tuple(change(each, libraries=libraries) for each in seen.after.processes)
    return change(seen, after=change(seen.after, processes=processes))


def importing(*modules: str) -> tuple[Any, ...]:
    return tuple(make.frame("_find_and_load", IMPORTLIB, name=f"'{name}'") for name in modules)


# --- a forked child inside libiomp5 -------------------------------------------------------------


def forked_child(*native_frames: tuple[str, str]) -> Evidence:
    seen = native(*native_frames)  # its process is number 1
    (child,) = seen.after.processes
    parent = make.process(make.in_call(9, "wait4", 1))
    after = change(seen.after, root=9, processes=(parent, change(child, parent=9)))
    stacks = (make.stacks(1, make.stack(1, make.frame("load"))),)
    return with_libraries(change(seen, after=after, stacks=stacks), "/x/libiomp5.so")


def test_kmp_after_fork() -> None:
    inside = forked_child(("__kmp_lock_suspend_mx", "libiomp5.so"), ("futex", "libc.so.6"))
    assert names(hung(inside)) == ["kmp-after-fork"]
    elsewhere = forked_child(("PyThread_acquire_lock", "python"), ("futex", "libc.so.6"))
    assert names(hung(elsewhere)) == []
    # Without native frames it may be that, or a lock of Python's.
    unread = hung(change(inside, native_stacks=()))
    assert names(unread) == []
    assert names(unread, "possible") == ["kmp-after-fork", "python-lock-held-over-fork"]


# --- libgomp ------------------------------------------------------------------------------------


def test_libgomp_in_a_process_of_unknown_origin() -> None:
    code = Code(library="/x/libgomp.so.1", is_libc=False, in_syscall_wrapper=False)
    process = make.process(make.on_futex(1, code=known(code, "maps")))
    computing, idle = make.stack(1, make.frame("load")), make.stack(1)

    def found(stack: ThreadStack) -> list[tuple[str, str]]:
        seen = make.evidence(process, stacks=(make.stacks(1, stack),))
        recognised = recognise_inspected(inspection(seen, verdict="deadlock"), CAUSES)
        return [(each.certainty, each.cause.name) for each in recognised]

    assert found(computing) == [("possible", "libgomp-after-fork")]
    assert found(idle) == []  # a thread of libgomp's own


# --- two copies of one OpenMP -------------------------------------------------------------------


def two_runtimes(*paths: str, **environment: str) -> Traces:
    seen = with_libraries(native(("__kmp_join_barrier", "libiomp5.so")), *paths)
    return hung(seen, environment=environment)


def test_duplicate_openmp_runtimes() -> None:
    both = ("/a/libiomp5.so", "/b/libomp-8f2.so")
    allowed = two_runtimes(*both, KMP_DUPLICATE_LIB_OK="TRUE")
    assert names(allowed) == ["openmp-runtimes-duplicate"]
    assert names(two_runtimes(*both, KMP_DUPLICATE_LIB_OK="FALSE")) == []
    one = two_runtimes("/a/libiomp5.so", "/a/libgomp.so.1", KMP_DUPLICATE_LIB_OK="TRUE")
    assert names(one) == names(one, "possible") == []
    # The program may have set the variable itself.
    assert names(two_runtimes(*both), "possible") == ["openmp-runtimes-duplicate"]


# --- numpy in a constructor ---------------------------------------------------------------------


@pytest.mark.parametrize(("libc", "expected"), [("glibc 2.28", True), ("glibc 2.36", False)])
def test_numpy_inside_dlopen(libc: str, expected: bool) -> None:
    seen = native(("_dl_open", "ld-2.28.so"), ("__kmp_join_barrier", "libiomp5.so"))
    seen = change(seen, machine=change(seen.machine, libc=libc))
    assert names(hung(seen)) == (["numpy-inside-dlopen"] if expected else [])


# --- two copies of protobuf ---------------------------------------------------------------------


SAID = "libc++abi: terminating due to uncaught exception: mutex lock failed: Invalid argument\n"


def aborted(fingerprint: Traces, signal: int = 6) -> Traces:
    return change(
        said(SAID),
        verdict=known(Verdict.CRASH, "result"),
        end=known(Signalled(signal=signal), "wait"),
        fingerprint=fingerprint.fingerprint,
    )


def test_protobuf_abort() -> None:
    name = "protobuf-abseil-abort"
    symbol = "_ZZN6google8protobuf8internal12ShutdownData3getEvE4data"
    two = installed(library("/a/libarrow.so", symbol), library("/b/libtf.so", symbol))
    assert names(aborted(two)) == [name]
    assert names(aborted(installed(tensorflow="2.20.0", pyarrow="26.0.1"))) == [name]
    assert names(aborted(installed(tensorflow="2.19.0", pyarrow="26.0.1"))) == []
    assert names(aborted(two, signal=11)) == []
    unsure = aborted(change(two, fingerprint=NO_FINGERPRINT))
    assert names(unsure) == [] and names(unsure, "possible") == [name]


@pytest.mark.parametrize("line", ["451", "452", "459", "463", "999"])
def test_protobuf_clash(line: str) -> None:
    output = Output(size=60, kept=f"[mutex.cc : {line}] RAW: Lock blocking 0x600000968138   @\n")
    traces = hung(make.evidence(make.process(make.sleeping(1))), stderr=output)
    assert names(traces) == ["protobuf-abseil-clash"]
    (found,) = recognise_in(traces, CAUSES)
    told = " ".join(each.detail for each in found.seen)
    assert ("Abseil LTS" in told) == (line != "999")


def test_protobuf_clash_in_memory() -> None:
    apple = (0x4D55545A).to_bytes(8, "little")  # "MUTZ"
    seen = make.evidence(make.process(make.on_futex(1, apple)))
    assert names(hung(seen)) == ["protobuf-abseil-clash"]
    other = make.evidence(make.process(make.on_futex(1, b"\1" * 8)))
    assert names(hung(other)) == []


@pytest.mark.parametrize(
    "names_of_code",
    [
        ("google::protobuf::internal::ShutdownData::get()", "absl::Mutex::LockSlow(int)"),
        ("_ZN6google8protobuf8internal10OnShutdownE", "_ZN4absl12lts_202308025Mutex4LockEv"),
    ],
)
def test_protobuf_clash_on_the_stack(names_of_code: tuple[str, str]) -> None:
    outer, inner = [(name, "libtensorflow_framework.so.2") for name in names_of_code]
    seen = native(outer, inner)
    assert names(hung(seen)) == ["protobuf-abseil-clash"]
    found = recognise_inspected(inspection(seen), CAUSES)  # one look does not tell a hang
    assert [(each.certainty, each.cause.name) for each in found] == [
        ("possible", "protobuf-abseil-clash")
    ]
    assert names(hung(native(inner, outer))) == []


# --- standard input -----------------------------------------------------------------------------


def test_tensorflow_before_torch() -> None:
    def seen(descriptor: int, *modules: str) -> Traces:
        process = make.process(make.in_call(1, "read", descriptor))
        stacks = (make.stacks(1, make.stack(1, *importing(*modules))),)
        read = make.evidence(process, stacks=stacks)
        return hung(with_libraries(read, "/t/libtensorflow_framework.so.2", "/t/libtorch_cpu.so"))

    assert names(seen(0, "mine", "torch", "torch._C")) == ["tensorflow-before-torch"]
    assert names(seen(3, "torch")) == []
    assert names(seen(0, "torchaudio_less")) == []


def test_stdin_under_the_loader_lock() -> None:
    loading = make.frame("create_module", "<frozen importlib._bootstrap_external>")
    process = make.process(make.on_futex(1))
    seen = make.evidence(process, stacks=(make.stacks(1, make.stack(1, loading)),))
    windows = change(seen, machine=change(seen.machine, system="win32"))
    assert names(hung(windows), "possible") == ["stdin-under-loader-lock"]
    assert names(hung(seen), "possible") == []


# --- an import nobody asked for -----------------------------------------------------------------


def test_transformers_imports_tensorflow() -> None:
    process = make.process(make.in_call(1, "mount"))

    def traces(transformers: str, *modules: str) -> Traces:
        stacks = (make.stacks(1, make.stack(1, *importing(*modules))),)
        fingerprint = installed(transformers=transformers, tensorflow="2.19.0").fingerprint
        return change(hung(make.evidence(process, stacks=stacks)), fingerprint=fingerprint)

    order = ("mine", "transformers.utils", "tensorflow")
    assert names(traces("4.45.2", *order)) == ["transformers-imports-tensorflow"]
    assert names(traces("5.0.0", *order)) == []
    assert names(traces("4.45.2", *order[::-1])) == []


# --- a handler of logging -----------------------------------------------------------------------


def test_syslog_server_silent() -> None:
    """Its recording connects in the import; a message of one that is connected can wait too."""
    socket = known((Descriptor(number=3, target="socket:[1]", access="rw"),), "fd")
    process = make.process(make.in_call(1, "sendto", 3), descriptors=socket)
    handlers = "/lib/logging/handlers.py"

    def traces(*frames: PythonFrame, verdict: Verdict = Verdict.HANG) -> Traces:
        seen = make.evidence(process, stacks=(make.stacks(1, make.stack(1, *frames)),))
        return hung(seen, verdict)

    name, emit = "syslog-server-silent", make.frame("emit", handlers)
    assert names(traces(make.frame("info"), emit)) == [name]
    assert names(traces(emit, verdict=Verdict.SLOW)) == []
    # A handler that is no SysLogHandler, and one of somebody else's.
    assert names(traces(emit, make.frame("sendall", "/lib/ssl.py"))) == []
    assert names(traces(make.frame("send", handlers))) == []
    assert names(traces(make.frame("emit", "/mine/handlers.py"))) == []


# --- a child that runs the main file again ------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "keeper", "lead", "expected"),
    [
        ("/lib/multiprocessing/pool.py", "_handle_workers", "", True),
        ("/lib/concurrent/futures/_base.py", "run", "", True),
        ("/lib/concurrent/futures/_base.py", "", "", False),  # perhaps a thread's future
        (
            "/lib/multiprocessing/pool.py",
            "_handle_workers",
            "all workers of the pool are idle",
            False,
        ),
    ],
)
def test_main_file_again(file: str, keeper: str, lead: str, expected: bool) -> None:
    """A pool of processes must be there, and its workers must not have got beyond the main file."""
    of_keeper = file.replace("_base.py", "process.py")
    waiter = make.stack(
        1, make.frame("<module>"), make.frame("get", file), make.frame("result", file)
    )
    other = make.stack(2, *([make.frame(keeper, of_keeper)] if keeper else []))
    seen = make.evidence(
        make.process(make.on_futex(1), make.in_call(2, "poll")),
        stacks=(make.stacks(1, waiter, other),),
    )
    inspected = inspection(seen, verdict="hang")
    first, *rest = inspected.threads
    inspected = change(inspected, threads=(change(first, lead=lead), *rest))
    found = recognise_inspected(inspected, CAUSES)
    assert ("spawned-child-runs-main-again" in [each.cause.name for each in found]) is expected


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_result_without_any_trace_has_no_cause(cause: Cause) -> None:
    for verdict in Verdict:
        assert recognise(result(None, verdict), NO_FINGERPRINT, [cause]) == ()
    idle = make.evidence(make.process(make.on_futex(1)))
    assert recognise(result(idle), NO_FINGERPRINT, [cause]) == ()
    assert recognise_inspected(inspection(idle), [cause]) == ()


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_texts(cause: Cause) -> None:
    assert all(len(line) <= 100 for line in cause.explanation.splitlines())
    for remedy in cause.remedy:
        assert remedy.advice.endswith(".")
        if remedy.confirmed == "reported":
            assert remedy.references, remedy.advice
    assert any(remedy.helps for remedy in cause.remedy)
