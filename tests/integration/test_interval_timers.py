"""Asking a sleeping process for its alarm: the answer, and that the process notices nothing.

Each program makes one raw system call, without anything around it that would try again, and prints
what the call returned: an interruption that the kernel does not undo would show as EINTR, a wake-up
as a return too early.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from deadlock_matrix.capture import interval_timers
from deadlock_matrix.model.fact import Known, Unknown

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or os.uname().machine != "x86_64", reason="done on x86-64 Linux"
    ),
    pytest.mark.timeout(600),
]

ASKED = 300
RESTART = 219  # restart_syscall
BEGIN = """
import ctypes, os, select, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def said(result): print(result, ctypes.get_errno() if result < 0 else 0, flush=True)
def after_input(do): threading.Thread(target=lambda: (os.read(0, 1), do())).start()
word = ctypes.c_int(0)
def wake():
    word.value = 1
    libc.syscall(202, ctypes.byref(word), 129, 1, None, None, 0)
print("ready", flush=True)
"""
FUTEX = "after_input(wake)\nsaid(libc.syscall(202, ctypes.byref(word), 128, 0, None, None, 0))"
CALLS = {
    "futex": (FUTEX, 202, "0 0"),
    "futex-until": (
        "class Time(ctypes.Structure): _fields_ = [('s', ctypes.c_long), ('ns', ctypes.c_long)]\n"
        "after_input(wake)\n"
        "limit = Time(60, 0)\n"
        "said(libc.syscall(202, ctypes.byref(word), 128, 0, ctypes.byref(limit), None, 0))",
        202,
        "0 0",
    ),
    "wait4": (
        "child = os.fork()\n"
        "if not child: os.read(0, 1); os._exit(0)\n"
        "said(libc.waitpid(child, None, 0) - child)",
        61,
        "0 0",
    ),
    "read": ("said(libc.read(0, ctypes.create_string_buffer(1), 1))", 0, "1 0"),
    "write": (
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        "while True:\n"
        "    try: os.write(w, bytes(4096))\n"
        "    except BlockingIOError: break\n"
        "os.set_blocking(w, True); after_input(lambda: os.read(r, 8192))\n"
        "said(libc.write(w, bytes(4096), 4096))",
        1,
        "4096 0",
    ),
    "poll": ("said(libc.poll((ctypes.c_int * 2)(0, 1), 1, -1))", 7, "1 0"),
    "nanosleep": ("said(libc.nanosleep((ctypes.c_long * 2)(5, 0), None))", 230, "0 0"),
}
script = runpy.run_path(str(interval_timers.SCRIPT))


def look(pids: Sequence[int], within_s: float = 5.0) -> dict[int, float | str]:
    found: dict[int, float | str] = script["look_in_a_thread"](pids, within_s)
    return found


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def until_asleep_in(pid: int, *calls: int) -> None:
    """Wait until the main thread sleeps in a call of the program's own.

    A thread that starts another waits in a futex too, for a lock of Python's: none of these waits
    for a word as long as it is 0, as the programs here do.
    """
    asleep = False
    while not asleep:
        call, *arguments = Path(f"/proc/{pid}/syscall").read_text().split()
        asleep = call in map(str, calls) and (call != "202" or arguments[1:3] == ["0x80", "0x0"])


def end_of(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("x")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("name", CALLS)
def test_call_goes_on_as_if_nothing_had_been(name: str) -> None:
    program, call, result = CALLS[name]
    with running(program) as process:
        until_asleep_in(process.pid, call)
        answers = [look([process.pid])[process.pid] for _ in range(ASKED)]
        assert set(answers) == {0.0}
        assert process.poll() is None
        assert Path(f"/proc/{process.pid}/stat").read_text().split()[2] in "SR"
        assert "TracerPid:\t0" in Path(f"/proc/{process.pid}/status").read_text()
        # What it waits for is looked at anew when it begins again, as itself or as RESTART.
        until_asleep_in(process.pid, call, RESTART)
        assert end_of(process) == result


def test_write_that_may_be_partly_done_is_left_alone() -> None:
    """Interrupted, it would return the part: what hangs would go on."""
    program = (
        "r, w = os.pipe()\n"
        "def drain():\n"
        "    os.read(0, 1)\n"
        "    left = 1 << 20\n"
        "    while left: left -= len(os.read(r, left))\n"
        "threading.Thread(target=drain).start()\n"
        "said(libc.write(w, bytes(1 << 20), 1 << 20))"
    )
    with running(program) as process:
        until_asleep_in(process.pid, 1)
        assert look([process.pid])[process.pid] == 0.0  # the other thread was asked
        assert end_of(process) == f"{1 << 20} 0"


def test_process_that_does_nothing_but_write_is_not_asked() -> None:
    with running("r, w = os.pipe(); said(libc.write(w, bytes(1 << 20), 1 << 20))") as process:
        until_asleep_in(process.pid, 1)
        answer = look([process.pid])[process.pid]
        assert isinstance(answer, str) and "none of its threads" in answer
        assert Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "S"
        process.kill()


def test_alarm_is_found() -> None:
    with running("signal.alarm(1000)\n" + FUTEX) as process:
        until_asleep_in(process.pid, 202)
        answer = look([process.pid])[process.pid]
        assert isinstance(answer, float) and 900 < answer <= 1000


def test_thread_with_all_signals_blocked_keeps_its_mask_and_its_handlers() -> None:
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
    with running(block + FUTEX) as process:
        until_asleep_in(process.pid, 202)

        def signals() -> list[str]:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return [line for line in lines if line.startswith(("Sig", "Shd"))]

        before = signals()
        assert look([process.pid])[process.pid] == 0.0
        assert signals() == before
        until_asleep_in(process.pid, 202, RESTART)  # who comes after the wake-up gets EAGAIN
        assert end_of(process) == "0 0"


def test_wait_for_events_is_left_alone() -> None:
    """The kernel does not begin it again by itself: not even looked at closely."""
    program = (
        "e = select.epoll(); e.register(0)\nsaid(libc.epoll_wait(e.fileno(), bytes(12), 1, -1))"
    )
    with running(program) as process:
        until_asleep_in(process.pid, 232)
        assert isinstance(look([process.pid])[process.pid], str)
        assert end_of(process) == "1 0"


def test_stopped_process_is_left_alone() -> None:
    with running("os.kill(os.getpid(), signal.SIGSTOP)") as process:
        while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "T":
            pass
        assert isinstance(look([process.pid])[process.pid], str)
        assert Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T"


def test_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert isinstance(look([process.pid])[process.pid], str)


def test_signals_arrive_while_it_is_asked() -> None:
    """Hundreds of signals, hundreds of questions: none is lost.

    Counted in the bytes that Python's handler in C writes, one for each: the one in Python may run
    once for several.
    """
    program = (
        "told, tell = os.pipe(); os.set_blocking(tell, False)\n"
        "signal.set_wakeup_fd(tell)\n"
        "signal.signal(signal.SIGRTMIN, lambda n, f: None)\n"
        "threading.Thread(target=lambda: (os.read(0, 1), print(len(os.read(told, 9999)),"
        " flush=True), os._exit(0))).start()\n"
        "while True: libc.syscall(202, ctypes.byref(word), 128, 0, None, None, 0)"
    )
    with running(program) as process:
        until_asleep_in(process.pid, 202)
        for _ in range(ASKED):
            os.kill(process.pid, 34)
            look([process.pid])
        until_asleep_in(process.pid, 202)
        assert end_of(process) == str(ASKED)


KILLED_WHILE_IT_ASKS = """
import os, runpy, signal, sys
script = runpy.run_path(sys.argv[1])
script["Borrowed"].resume = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
script["look_in_a_thread"]([int(sys.argv[2])])
"""


def test_asker_that_is_killed_leaves_no_changed_registers() -> None:
    with running(CALLS["read"][0]) as process:
        until_asleep_in(process.pid, 0)
        asker = [sys.executable, "-c", KILLED_WHILE_IT_ASKS, str(interval_timers.SCRIPT)]
        assert subprocess.run([*asker, str(process.pid)], check=False).returncode == -signal.SIGKILL
        assert process.stdout is not None and process.stdout.read() == ""
        assert process.wait(60) == -signal.SIGKILL


def test_answers_become_facts() -> None:
    assert interval_timers.from_answer(0.0) == Known(
        value=(), source="getitimer, called by one of its own threads"
    )
    pending = interval_timers.from_answer(2.5)
    assert isinstance(pending, Known) and pending.value == (2.5,)
    assert isinstance(interval_timers.from_answer("it ended"), Unknown)


def test_end_is_left_to_the_parent() -> None:
    """Who asks is a thread of the parent: if it took the end, the parent would wait for ever."""
    said: list[str] = []

    def watch_it_end() -> None:
        thread = script["Borrowed"](process.pid, time.monotonic() + 300)
        process.kill()
        try:
            said.append(thread.wait())
        except script["Odd"] as error:
            said.append(str(error))

    with running(FUTEX) as process:
        until_asleep_in(process.pid, 202)
        asking = threading.Thread(target=watch_it_end)
        asking.start()
        asking.join()
        assert said == ["it ended"]
        assert os.waitpid(process.pid, 0) == (process.pid, signal.SIGKILL)
