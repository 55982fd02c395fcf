"""Who of a real process tree has run, and which looks of the watchdog that makes unnecessary."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.capture.run_counts import only_sleeps, ran_beside_main, waits_on_a_futex
from deadlock_matrix.run.stillness import Progress, Stillness
from deadlock_matrix.run.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PROGRAM = """
import subprocess, sys, threading

wake, woken = threading.Semaphore(0), threading.Semaphore(0)

def work():
    while True:
        wake.acquire()
        woken.release()

def wait(forever=threading.Event()):
    forever.wait()

for target in (work, wait, wait):
    threading.Thread(target=target, daemon=True).start()
children = []
for line in sys.stdin:
    if line == "work\\n":
        wake.release()
        woken.acquire()
    elif line == "thread\\n":
        threading.Thread(target=wait, daemon=True).start()
    elif line == "child\\n":
        children.append(subprocess.Popen(["sleep", "1000"]))
    print("done", flush=True)
for child in children:
    child.kill()
"""

Until = Callable[..., None]


class Process:
    """The program, told a line at a time, and what is seen of it."""

    def __init__(self, process: subprocess.Popen[str], until: Until) -> None:
        self._process, self._until = process, until
        self.pid = process.pid
        self.stillness = Stillness(lambda: (process.pid,))

    def do(self, line: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def progress(self) -> tuple[Progress, Progress]:
        """How far all others, and all with the main thread, have got once nobody runs."""

        def settled() -> bool:
            before = self.stillness.run_counts()
            if not all(waits_on_a_futex(*each) for each in before if each[1] != each[0]):
                return False
            # The counts of one that runs stay as they are until the kernel's next tick.
            if not all(is_asleep(*each) for each in before):
                return False
            self.stillness._glance()
            known = self.stillness.progress(of_main=False) is not None
            return known and before == self.stillness.run_counts()

        self._until(settled)
        glanced = self.stillness._glance()
        assert glanced == self.stillness.run_counts()
        found = self.stillness.progress(of_main=False), self.stillness.progress(of_main=True)
        assert None not in found
        return found


def is_asleep(pid: int, tid: int) -> bool:
    stat = Path(f"/proc/{pid}/task/{tid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


@pytest.fixture
def process(until: Until) -> Iterator[Process]:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield Process(started, until)
        assert started.stdin is not None
        started.stdin.close()


def test_nobody_else_has_run_while_only_the_main_thread_does(process: Process) -> None:
    process.do("nothing")
    others, everybody = process.progress()
    assert ran_beside_main(process.pid) is not None
    for _ in range(3):
        process.do("nothing")
        again, with_main = process.progress()
        assert again == others and with_main != everybody
        everybody = with_main


@pytest.mark.parametrize("line", ["work", "thread"])
def test_another_thread_has_run_however_shortly(process: Process, line: str) -> None:
    process.do("nothing")
    others, _ = process.progress()
    for _ in range(3):
        process.do(line)
        again, _ = process.progress()
        assert again != others
        others = again


def test_a_child_of_the_main_thread_is_found(process: Process) -> None:
    process.do("nothing")
    process.progress()
    process.do("child")
    process.progress()
    assert {pid for pid, _ in process.stillness.run_counts()} > {process.pid}


def test_what_a_main_thread_does_that_only_sleeps() -> None:
    nanosleep = "35 0x7ffd 0x0 0x0 0x0 0x0 0x0 0x7ffc 0x7f10"
    futex = "202 0x7ffd 0x189 0x0 0x0 0x0 0xffffffff 0x7ffc 0x7f10"
    limited = "202 0x7ffd 0x189 0x0 0x7ffc 0x0 0xffffffff 0x7ffc 0x7f10"
    if platform.machine() != "x86_64":
        pytest.skip("these are numbers of x86-64")
    assert only_sleeps(nanosleep.split())
    assert not any(only_sleeps(each.split()) for each in (futex, limited, "running", ""))


class _Counted:
    """In place of a `Stillness`: says what it is told to say."""

    def __init__(self) -> None:
        self.said: Progress = None

    def progress(self, *, of_main: bool) -> Progress:
        return self.said


class _Nobody:
    """In place of supervisor and collector, neither of which is asked anything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *anything: 0.0


@pytest.mark.parametrize("parts", [True, False])
def test_what_is_looked_at_again(parts: bool) -> None:
    nobody: Any = _Nobody()
    watchdog = Watchdog(nobody, nobody, 1, None)
    counted: Any = _Counted()
    now = watchdog._seen[parts].at
    assert watchdog._is_news(now, parts=parts)  # nothing is known of who runs
    watchdog._stillness = counted
    assert watchdog._is_news(now, parts=parts)  # not looked at yet
    counted.said = ((1, 5, b"main"),)
    watchdog._seen[parts] = watchdog._seen[parts]._replace(progress=counted.said)
    assert not watchdog._is_news(now, parts=parts)
    assert watchdog._is_news(now + watchdog._rates.still_pause_s, parts=parts)
    counted.said = ((1, 6, b"main"),)
    assert watchdog._is_news(now, parts=parts)
    counted.said = None
    assert watchdog._is_news(now, parts=parts)
