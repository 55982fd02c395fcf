"""``deadlock-matrix inspect`` as it is used: on a process that runs, which stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.model.evidence import Evidence

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads procfs"),
    pytest.mark.timeout(600),
]

TOOL = (sys.executable, "-m", "deadlock_matrix")
Launch = Callable[..., "subprocess.Popen[bytes]"]
Until = Callable[..., None]
State = Callable[[int], str]

READY = "import os; os.write(1, b'ready\\n'); "
CROSSED = """
import ctypes, os, threading
first, second = threading.RLock(), threading.RLock()
met = threading.Barrier(2)
def take(one, other, say):
    with one:
        met.wait()
        if say:
            os.write(1, b"ready\\n")
        with other:
            pass
threading.Thread(target=take, args=(second, first, False)).start()
take(first, second, True)
"""
CODE = {
    "deadlocked": CROSSED,
    "healthy": f"import threading, time; threading.Thread(target=time.sleep, args=(9e5,)).start(); "
    f"{READY} threading.Event().wait(9e5)",
    "sleeping": f"import time; {READY} time.sleep(1000)",
    "reading": f"{READY} import sys; sys.stdin.read()",
    "busy": f"{READY}\nwhile True: pass",
}


def inspect(pid: int, *options: str, **rest: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*TOOL, "inspect", *options, str(pid)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **rest,
    )


@pytest.fixture
def target(launch: Launch) -> Callable[[str], subprocess.Popen[bytes]]:
    """A process that has said it is ready."""

    def start(*command: str) -> subprocess.Popen[bytes]:
        process = launch(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def by_kind(kind: str) -> subprocess.Popen[bytes]:
        return start(sys.executable, "-c", CODE[kind])

    by_kind.start = start  # type: ignore[attr-defined]
    return by_kind


Target = Callable[[str], "subprocess.Popen[bytes]"]


def settle(pid: int, until: Until, state: State) -> None:
    until(lambda: state(pid) == "S" and asleep(pid))


def asleep(pid: int) -> bool:
    """Every thread sleeps, and has not moved between two looks."""

    def look() -> list[str]:
        return [
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            + (task / "status").read_text().partition("voluntary")[2]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]

    before = look()
    time.sleep(0.02)
    return look() == before and all(text[0] == "S" for text in before)


@pytest.mark.parametrize("options", [(), ("--native",), ("--tree",), ("--proof",)])
def test_a_deadlocked_process(
    target: Target, until: Until, state: State, options: tuple[str, ...]
) -> None:
    process = target("deadlocked")
    settle(process.pid, until, state)
    done = inspect(process.pid, *options)
    assert done.returncode == 35, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("deadlock: ") or "no deadlock" not in done.stdout
    assert done.stdout.count("stuck: ") == 2
    assert done.stdout.count(", in take\n") == 2
    assert f"process {process.pid}: " in done.stdout
    assert ("native: " in done.stdout) is (options == ("--native",))
    proof = options == ("--proof",)
    assert ("who waits for whom, and where it was read" in done.stdout) is proof
    assert ("what the proof requires" in done.stdout) is proof
    assert state(process.pid) == "S" and process.poll() is None


@pytest.mark.parametrize("kind", ["healthy", "sleeping", "reading", "busy"])
@pytest.mark.parametrize("options", [(), ("--native",)])
def test_a_process_that_is_not_proved_stuck(
    target: Target, state: State, kind: str, options: tuple[str, ...]
) -> None:
    process = target(kind)
    done = inspect(process.pid, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no deadlock proved: ")
    assert "stuck: " not in done.stdout
    assert "what stands in the way of a proof" in done.stdout
    assert state(process.pid) in "SR"
    assert process.poll() is None


@pytest.mark.parametrize("kind", ["deadlocked", "sleeping"])
def test_json(target: Target, until: Until, state: State, kind: str) -> None:
    process = target(kind)
    settle(process.pid, until, state)
    done = inspect(process.pid, "--json")
    found = json.loads(done.stdout)
    assert found["subject"] == f"process {process.pid}"
    assert (found["detected_after_s"]["fact"], found["evidence"]["fact"]) == ("unknown", "known")
    assert msgspec.convert(found["evidence"]["value"], Evidence).after.root == process.pid
    assert any("libc" in path for path in found["libraries"])
    proved = kind == "deadlocked"
    assert found["verdict"] == ("deadlock" if proved else "not-proved")
    assert (found["proof"] is not None, bool(found["gaps"])) == (proved, not proved)
    assert done.returncode == (35 if proved else 0)
    assert {thread["pid"] for thread in found["threads"]} == {process.pid}


def test_json_has_the_known_cause_and_what_helps(
    target: Target, until: Until, state: State, tmp_path: Path
) -> None:
    (tmp_path / "joiner.py").write_text(
        "import threading\nprint('ready', flush=True)\n"
        "thread = threading.Thread(target=lambda: __import__('joiner').late)\n"
        "thread.start()\nthread.join()\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import joiner"
    process = target.start(sys.executable, "-c", code)  # type: ignore[attr-defined]
    settle(process.pid, until, state)
    found = json.loads(inspect(process.pid, "--json").stdout)
    (cause,) = found["causes"]
    assert (cause["name"], cause["certainty"]) == ("import-lock-and-join", "recognised")
    assert all(remedy["advice"] for remedy in cause["remedies"])
    assert found["end"]["fact"] == "unknown"


def test_a_deadlock_beside_the_main_thread(target: Target, until: Until, state: State) -> None:
    code = CROSSED.replace("take(first, second, True)", "").replace(
        ".start()\n",
        ".start()\nthreading.Thread(target=take, args=(first, second, True)).start()\n"
        "import time; time.sleep(1000)\n",
    )
    process = target.start(sys.executable, "-c", code)  # type: ignore[attr-defined]
    settle(process.pid, until, state)
    done = inspect(process.pid)
    title = done.stdout.partition(":")[0]
    assert title in ("partial deadlock", "no deadlock proved")
    assert (done.returncode == 35) is (title == "partial deadlock")


SERVER = """
import signal, threading
class Server:
    def stop(self, number, frame): pass
signal.signal(signal.SIGTERM, Server().stop)
lock = threading.Lock()
lock.acquire()
print("ready", flush=True)
lock.acquire()
"""


def test_a_likely_deadlock(target: Target, until: Until, state: State) -> None:
    process = target.start(sys.executable, "-c", SERVER)  # type: ignore[attr-defined]
    settle(process.pid, until, state)
    done = inspect(process.pid)
    assert done.returncode == 36, done.stdout
    assert done.stdout.startswith("likely deadlock: ")
    assert "no SIGTERM comes (the handler is Server.stop, <string>:4)" in done.stdout
    assert ", likely stuck: " in done.stdout


LIMITED = """
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
code = "import threading; lock = threading.Lock(); lock.acquire(); print('ready', flush=True)"
code += "; lock.acquire()"
os.execvp("timeout", ["timeout", "-s", sys.argv[1], "40", sys.executable, "-c", code])
"""


@pytest.mark.parametrize(("sent", "status"), [("INT", 36), ("TERM", 35)])
def test_a_process_that_its_parent_will_interrupt(
    target: Target, until: Until, state: State, sent: str, status: int
) -> None:
    parent = target.start(sys.executable, "-c", LIMITED, sent)  # type: ignore[attr-defined]
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    until(lambda: children.read_text().strip())
    pid = int(children.read_text())
    settle(pid, until, state)
    done = inspect(pid)
    assert done.returncode == status, done.stdout
    assert f"above it: process {parent.pid} (timeout) has a timer, and sends SIG{sent} when it" in (
        done.stdout
    )
    assert ("does not interrupt it" in done.stdout) is (sent == "INT")


# --- programs of other kinds ----------------------------------------------------------------------

NATIVE = r"""
#include <pthread.h>
#include <unistd.h>
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t met;
static void *other(void *unused) {
    pthread_mutex_lock(&two);
    pthread_barrier_wait(&met);
    pthread_mutex_lock(&one);
    return unused;
}
int main(void) {
    pthread_t thread;
    pthread_barrier_init(&met, 0, 2);
    pthread_create(&thread, 0, other, 0);
    pthread_mutex_lock(&one);
    pthread_barrier_wait(&met);
    write(1, "ready\n", 6);
    pthread_mutex_lock(&two);
    return 0;
}
"""
THIRTY_TWO = """
.globl _start
_start:
    mov $4, %eax
    mov $1, %ebx
    mov $text, %ecx
    mov $6, %edx
    int $0x80
again:
    mov $29, %eax
    int $0x80
    jmp again
text: .ascii "ready\\n"
"""


def compile_program(folder: Path, source: str, suffix: str, *options: str) -> str:
    """Compile it, or skip the test."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    file, program = folder / f"program{suffix}", folder / "program"
    file.write_text(source)
    done = subprocess.run(
        [compiler, str(file), "-o", str(program), *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"this compiler cannot: {done.stderr[-200:]}")
    return str(program)


@pytest.mark.parametrize("static", [False, True])
def test_a_native_deadlock_without_python(
    target: Target, tmp_path: Path, until: Until, state: State, static: bool
) -> None:
    program = compile_program(tmp_path, NATIVE, ".c", "-pthread", *(["-static"] if static else []))
    process = target.start(program)  # type: ignore[attr-defined]
    settle(process.pid, until, state)
    done = inspect(process.pid, "--proof")
    if static:  # whose C library is in it cannot be told, nor what it makes of its own signals
        assert done.returncode == 36
        assert "no SIGSETXID comes (the handler is in C)" in done.stdout
        return
    assert done.returncode == 35, done.stdout
    assert done.stdout.startswith("deadlock: ")
    assert "owner proof" in done.stdout
    assert done.stdout.count("held by") >= 2 and "mutex" in done.stdout


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="for x86")
def test_a_32_bit_program(target: Target, tmp_path: Path) -> None:
    program = compile_program(tmp_path, THIRTY_TWO, ".s", "-m32", "-nostdlib", "-static")
    try:
        process = target.start(program)  # type: ignore[attr-defined]
    except (OSError, AssertionError):
        pytest.skip("this kernel runs no 32-bit programs")
    done = inspect(process.pid)
    one_sentence(done, "32-bit program", str(process.pid))


# --- what cannot be looked at ---------------------------------------------------------------------


def one_sentence(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 125, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("deadlock-matrix: ") and done.stderr.count("\n") == 1
    for part in said:
        assert part in done.stderr


def test_no_such_process() -> None:
    one_sentence(inspect(2**22 + 1), "there is no process 4194305")


@pytest.mark.parametrize("text", ["0", "-1", "x"])
def test_no_process_id(text: str) -> None:
    done = subprocess.run(
        [*TOOL, "inspect", text], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2 and "Usage" in done.stderr


def test_a_zombie(launch: Launch, until: Until, state: State) -> None:
    process = launch("true")
    until(lambda: state(process.pid) == "Z")
    one_sentence(inspect(process.pid), "has already ended", f"parent {os.getpid()}")


def test_a_thread_that_is_no_process(target: Target) -> None:
    process = target("healthy")
    thread = max(int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir())
    one_sentence(inspect(thread), f"thread of process {process.pid}")


def test_a_kernel_thread() -> None:
    comm = Path("/proc/2/comm")
    if not comm.exists() or comm.read_text() != "kthreadd\n":
        pytest.skip("no kernel threads to be seen here")
    one_sentence(inspect(2), "thread of the kernel")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_process_of_another_user(target: Target) -> None:
    process = target("sleeping")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    # May read every file, for an installation in root's own folder, but look into no process.
    nobody = (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    )  # fmt: skip
    done = subprocess.run(
        [*nobody, *TOOL, "inspect", str(process.pid)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.stderr.startswith("setpriv: "):
        pytest.skip(done.stderr)
    one_sentence(done, "belongs to user 0", "sudo")


# --- it is left as it was -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--native",)])
def test_an_interrupted_look_leaves_the_process_running(
    target: Target, launch: Launch, state: State, until: Until, options: tuple[str, ...]
) -> None:
    """Ctrl-C at any moment, to the tool alone and to its whole group."""
    process = target("busy")
    for step in range(8):
        tool = launch(
            *TOOL, "inspect", *options, str(process.pid),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(0.08 * step)  # not to wait for anything: a moment as good as any
        if step % 2:
            os.killpg(tool.pid, signal.SIGINT)
        else:
            tool.send_signal(signal.SIGINT)
        assert tool.wait(120) in (130, 0, -signal.SIGINT, 1)
        until(lambda: state(process.pid) in "RS")
        assert process.poll() is None
        tracer = [
            line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if line.startswith("TracerPid")
        ]  # fmt: skip
        assert tracer == ["TracerPid:\t0"]


def test_a_tool_that_is_killed_leaves_the_process_running(
    target: Target, launch: Launch, state: State, until: Until
) -> None:
    process = target("busy")
    for step in range(5):
        tool = launch(
            *TOOL, "inspect", "--native", str(process.pid),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.1 * step)
        os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()
        until(lambda: state(process.pid) in "RS")


def test_a_stopped_process_stays_stopped(target: Target, until: Until, state: State) -> None:
    process = target("sleeping")
    process.send_signal(signal.SIGSTOP)
    until(lambda: state(process.pid) == "T")
    for options in ((), ("--native",)):
        done = inspect(process.pid, *options)
        assert done.returncode == 0, done.stderr
        assert "stopped by SIGSTOP" in done.stdout or "stopped by a signal" in done.stdout
        assert state(process.pid) == "T"
    process.send_signal(signal.SIGCONT)
    until(lambda: state(process.pid) == "S")


def test_its_counters_stay_as_they_were(target: Target, until: Until, state: State) -> None:
    """A sleeping process is not even woken up, unless native frames are asked for."""
    process = target("sleeping")
    settle(process.pid, until, state)

    def counters() -> list[str]:
        text = Path(f"/proc/{process.pid}/status").read_text()
        return [line for line in text.splitlines() if "ctxt_switches" in line]

    before = counters()
    assert inspect(process.pid).returncode == 0
    assert counters() == before
