"""What is read of CPython: its runtime, SIGINT's handler, stacks and the GIL's holder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from pythons import VERSIONS, WITH_GIL, interpreter

from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.stack_tools import SCRIPT
from deadlock_matrix.capture.stacks import StackReader
from deadlock_matrix.capture.worker import Worker, WorkerFailed
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import PythonHandler
from deadlock_matrix.model.stack_facts import ProcessStacks, ThreadStack
from deadlock_matrix.model.thread_facts import SystemCall

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(600),
]

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(executable: str, code: str) -> subprocess.Popen[bytes]:
        say = "def ready(): print('ready', flush=True)\n"
        process = subprocess.Popen(
            [executable, "-W", "ignore", "-c", say + code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def collector() -> Iterator[LinuxCollector]:
    with LinuxCollector() as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupt_handler(collector: LinuxCollector, pid: int) -> str:
    python = collector.snapshot([pid]).processes[0].python
    assert isinstance(python, Known), python
    handler = python.value.interrupt_handler
    assert isinstance(handler, Known), handler
    return handler.value


HANDLERS = [
    ("", "default_int_handler"),
    ("signal.signal(signal.SIGINT, lambda *a: None)", "other: function"),
    ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "SIG_IGN"),
    ("signal.signal(signal.SIGINT, signal.SIG_DFL)", "SIG_DFL"),
    ("signal.signal(signal.SIGINT, type('H', (), {'__call__': print})())", "other: H"),
    (
        "for n in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(n, lambda *a: None)",
        "other: function",
    ),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_interrupt_handler(start: Start, collector: LinuxCollector, version: str) -> None:
    for code, expected in HANDLERS:
        process = start(interpreter(version), f"import signal\n{code}\nready()\nsignal.pause()")
        assert interrupt_handler(collector, process.pid) == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_a_handler_changed_between_two_snapshots(
    start: Start, collector: LinuxCollector, version: str
) -> None:
    code = """
import os, signal, time
def changed(*ignored):
    signal.signal(signal.SIGINT, changed)
    os.write(1, b"changed\\n")  # not by print, in the middle of which it may be called
signal.signal(signal.SIGUSR1, changed)
ready()
while True: time.sleep(0.01)  # the signal may come just before it sleeps
"""
    process = start(interpreter(version), code)
    assert interrupt_handler(collector, process.pid) == "default_int_handler"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    process.stdout.readline()
    assert interrupt_handler(collector, process.pid) == "other: function"


TOLD_APART = """
import functools, signal
class Arbiter:
    def stop(self, *ignored):
        pass
class int:  # not the int that SIG_IGN is
    def __call__(self, *ignored):
        pass
def größe(*ignored):
    pass
signal.signal(signal.SIGTERM, Arbiter().stop)
signal.signal(signal.SIGHUP, functools.partial(größe))
signal.signal(signal.SIGUSR1, print)
signal.signal(signal.SIGUSR2, int())
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
ready()
signal.pause()
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_table_of_handlers(start: Start, collector: LinuxCollector, version: str) -> None:
    process = start(interpreter(version), TOLD_APART)
    python = collector.snapshot([process.pid]).processes[0].python
    assert isinstance(python, Known), python
    handlers = python.value.handlers
    assert isinstance(handlers, Known), handlers
    assert [handler.signal for handler in handlers.value] == list(range(1, 65))
    told = {handler.signal: handler for handler in handlers.value}

    def is_python(number: int, name: str, line: int) -> bool:
        wanted = PythonHandler(signal=number, kind="python", name=name, file="<string>", line=line)
        return told[number] == wanted

    assert is_python(signal.SIGTERM, "Arbiter.stop", 5)  # a line comes before the code
    assert is_python(signal.SIGHUP, "größe", 10)
    kinds = {number: (told[number].kind, told[number].name) for number in told}
    assert kinds[signal.SIGINT] == ("builtin", "default_int_handler")
    assert kinds[signal.SIGUSR1] == ("builtin", "print")
    assert kinds[signal.SIGUSR2] == ("object", "int")
    assert kinds[signal.SIGALRM] == kinds[signal.SIGPIPE] == ("ignored", "")
    assert kinds[signal.SIGQUIT] == kinds[signal.SIGKILL] == ("default", "")


def test_a_c_function_is_not_python_s_own_because_of_its_name(
    start: Start, collector: LinuxCollector
) -> None:
    process = start(
        sys.executable, "import signal\nsignal.signal(2, print)\nready()\nsignal.pause()"
    )
    assert interrupt_handler(collector, process.pid) == "print"


def test_a_program_that_is_not_python(collector: LinuxCollector) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        until(lambda: "cat" in str(collector.snapshot([process.pid]).processes[0].executable))
        facts = collector.snapshot([process.pid]).processes[0]
        assert isinstance(facts.python, Unknown)
        (stacks,) = collector.python_stacks([process.pid])
        assert isinstance(stacks.stacks, Unknown)
        assert "pystack" in stacks.stacks.reason and "py-spy" in stacks.stacks.reason
        process.stdin.close()


def read(collector: LinuxCollector, pid: int, native: bool = False) -> ProcessStacks:
    reader = collector.native_stacks if native else collector.python_stacks
    (facts,) = reader([pid])
    assert isinstance(facts.stacks, Known), facts.stacks
    return facts.stacks.value


def holders(stacks: ProcessStacks) -> list[int]:
    """The threads that hold it; one impossible id when that could not be told this time."""
    if not all(isinstance(thread.holds_gil, Known) for thread in stacks.threads):
        return [-1]  # the process still ran while it was read
    return [t.tid for t in stacks.threads if isinstance(t.holds_gil, Known) and t.holds_gil.value]


def innermost(thread: ThreadStack) -> str:
    return thread.python[-1].function if thread.python else ""


HOLD_THE_GIL = """
import ctypes, threading
def hold():
    ready()
    ctypes.PyDLL(None).pause()
threading.Thread(target=hold).start()
"""

NOBODY_HOLDS_IT = """
import threading
lock = threading.Lock()
lock.acquire()
def wait():
    ready()
    lock.acquire()
threading.Thread(target=wait).start()
"""


@pytest.mark.parametrize("version", WITH_GIL)
def test_the_holder_of_the_gil(start: Start, collector: LinuxCollector, version: str) -> None:
    process = start(interpreter(version), HOLD_THE_GIL)

    def held() -> bool:
        stacks = read(collector, process.pid)
        found = holders(stacks)
        names = {thread.tid: innermost(thread) for thread in stacks.threads}
        return len(found) == 1 and found[0] != process.pid and names.get(found[0]) == "hold"

    until(held)


@pytest.mark.parametrize("version", WITH_GIL)
def test_the_gil_lies_in_the_runtime(start: Start, collector: LinuxCollector, version: str) -> None:
    process = start(interpreter(version), HOLD_THE_GIL + "while True: pass")
    facts = collector.snapshot([process.pid]).processes[0]
    assert isinstance(facts.python, Known)
    begin, end = facts.python.value.runtime_start, facts.python.value.runtime_end

    def waits_there() -> bool:
        word = collector.snapshot([process.pid]).processes[0].threads[0].word
        return isinstance(word, Known) and begin <= word.value.address < end

    until(waits_there)


@pytest.mark.parametrize("version", WITH_GIL)
def test_nobody_holds_the_gil(start: Start, collector: LinuxCollector, version: str) -> None:
    process = start(interpreter(version), NOBODY_HOLDS_IT)
    until(lambda: holders(read(collector, process.pid)) == [])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_forked_child_knows_its_own_thread(
    start: Start, collector: LinuxCollector, version: str
) -> None:
    code = "import os, signal\nif os.fork() == 0: ready(); signal.pause()\nos.wait()"
    process = start(interpreter(version), code)
    _, child = (facts.pid for facts in collector.snapshot([process.pid]).processes)
    assert [thread.tid for thread in read(collector, child).threads] == [child]


@pytest.mark.parametrize("version", VERSIONS)
def test_locals_of_a_join(start: Start, collector: LinuxCollector, version: str) -> None:
    code = """
import threading
secret = "a user's own data"
def work(mine):
    threading.Event().wait()
thread = threading.Thread(target=work, args=(secret,), daemon=True)
thread.start()
ready()
thread.join()
"""
    process = start(interpreter(version), code)

    def joined() -> bool:
        return any(
            "join" in f.function for t in read(collector, process.pid).threads for f in t.python
        )

    until(joined)
    stacks = read(collector, process.pid)
    main = next(thread for thread in stacks.threads if thread.tid == process.pid)
    other = next(thread for thread in stacks.threads if thread.tid != process.pid)
    join = next(frame for frame in main.python if frame.function == "join")
    assert join.values["timeout"] == "None"
    assert join.values["self"] == other.python[0].values["self"]
    assert other.python[0].function == "_bootstrap"  # outermost first
    assert "secret" not in str(stacks) and "own data" not in str(stacks)


def test_native_stacks_leave_the_process_as_it_was(start: Start, collector: LinuxCollector) -> None:
    process = start(sys.executable, "import signal\nready()\nwhile True: signal.pause()")

    def state_and_call() -> tuple[str, str]:
        thread = collector.snapshot([process.pid]).processes[0].threads[0]
        call = thread.activity.value if isinstance(thread.activity, Known) else None
        return thread.state, call.name if isinstance(call, SystemCall) else ""

    asleep = [("S", "pause"), ("S", "ppoll")]  # aarch64 has no pause
    until(lambda: state_and_call() in asleep)
    (thread,) = read(collector, process.pid, native=True).threads
    assert thread.native[-1].library and any("pause" in f.symbol for f in thread.native)
    until(lambda: state_and_call() in asleep)


def test_a_helper_killed_in_the_middle_leaves_nobody_stopped(
    start: Start, collector: LinuxCollector
) -> None:
    process = start(sys.executable, NOBODY_HOLDS_IT)
    for attempt in range(8):
        reader = StackReader(native_limit_s=0.005 * (attempt + 1))
        reader._tools._worker.ask({"pid": process.pid, "native": False}, 20)  # the helper is ready
        reader.read(process.pid, native=True)
        reader.close()
        states = {t.state for t in collector.snapshot([process.pid]).processes[0].threads}
        assert not states & set("Tt")


def test_a_container_has_thread_ids_of_its_own(start: Start, collector: LinuxCollector) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1)")
    command = [unshare, "--pid", "--fork", "--kill-child", sys.executable, "-c"]
    if subprocess.run([*command, ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces may not be made here")
    say = "import signal\nprint('ready', flush=True)\nsignal.pause()"
    with subprocess.Popen([*command, say], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        inside = collector.snapshot([process.pid]).processes[-1]
        assert (inside.own_pid, inside.threads[0].own_tid) == (1, 1)
        assert inside.pid == inside.threads[0].tid != 1
        assert [thread.tid for thread in read(collector, inside.pid).threads] == [inside.pid]
        process.kill()


def test_a_thread_that_made_two_thread_states(start: Start, collector: LinuxCollector) -> None:
    code = """
import ctypes, signal
api = ctypes.pythonapi
api.PyInterpreterState_Main.restype = api.PyThreadState_New.restype = ctypes.c_void_p
api.PyThreadState_New.argtypes = [ctypes.c_void_p]
api.PyThreadState_New(api.PyInterpreterState_Main())
ready()
signal.pause()
"""
    process = start(sys.executable, code)
    for thread in read(collector, process.pid).threads:
        assert isinstance(thread.holds_gil, Unknown)
        assert "two thread states" in thread.holds_gil.reason


# --- the helper ---------------------------------------------------------------------------------


def test_the_helper_is_kept_and_ends_with_its_reader(start: Start) -> None:
    process = start(sys.executable, "import signal\nready()\nsignal.pause()")
    reader = StackReader()
    reader.read(process.pid, native=True)
    helper = reader._tools._worker._process
    assert helper is not None
    reader.read(process.pid, native=True)
    assert reader._tools._worker._process is helper
    reader.close()
    assert helper.returncode is not None
    reader.close()


def test_a_helper_that_does_not_answer_is_replaced(start: Start) -> None:
    process = start(sys.executable, "import signal\nready()\nsignal.pause()")
    worker = Worker(SCRIPT, "the stack reader")
    try:
        request = {"pid": process.pid, "native": False}
        assert b"threads" in worker.ask(request, 20)
        first = worker._process
        assert first is not None
        os.kill(first.pid, signal.SIGSTOP)  # as stuck as can be
        with pytest.raises(WorkerFailed, match="within"):
            worker.ask(request, 0.2)
        assert first.returncode == -signal.SIGKILL
        assert b"threads" in worker.ask(request, 20)
        second = worker._process
        assert second is not None and second is not first
        second.kill()
        second.wait()
        assert b"threads" in worker.ask(request, 20)
    finally:
        worker.close()


def test_the_helper_ends_with_its_parent() -> None:
    code = """
import os, sys
from deadlock_matrix.capture.stack_tools import SCRIPT
from deadlock_matrix.capture.worker import Worker
worker = Worker(SCRIPT, "the stack reader")
worker.start()
print(worker._process.pid, flush=True)
os._exit(0)
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    helper = int(done.stdout)

    def gone() -> bool:
        try:
            with open(f"/proc/{helper}/stat") as stream:  # noqa: PTH123
                return ") Z " in stream.read()
        except OSError:
            return True

    until(gone)


def test_an_unreadable_process_has_a_reason_for_each_tool() -> None:
    reader = StackReader()
    try:
        facts = reader.read(2**22 + 1, native=False)
        assert isinstance(facts.stacks, Unknown)
        assert "pystack" in facts.stacks.reason
    finally:
        reader.close()
