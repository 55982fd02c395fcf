"""Servers as people run them: a master, workers, handlers of signals; one worker is stuck."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pythons import interpreter

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(300),
]

VERSIONS = ("3.8", "3.11", "3.13", "3.14", "3.15")
TOOL = (sys.executable, "-m", "deadlock_matrix")
LIKELY = 36
WITHIN_S = 60.0

SERVER = """\
import os, select, signal, socket, sys, threading, time

class Orders:
    def __init__(self):
        self._rows, self._log = threading.Lock(), threading.Lock()
        self._met = threading.Barrier(2)

    def place(self):
        with self._rows:
            self._met.wait()
            with self._log:
                pass

    def archive(self):
        with self._log:
            self._met.wait()
            with self._rows:
                pass

class Worker:
    def __init__(self, stuck):
        self.stuck, self.alive, self.orders = stuck, True, Orders()

    def stop(self, number, frame):
        self.alive = False

    def reopen_logs(self, number, frame):
        pass

    def run(self):
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self.stop)
        signal.signal(signal.SIGUSR1, self.reopen_logs)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        while self.alive and os.getppid() == master:
            if self.stuck:
                threading.Thread(target=self.orders.archive, daemon=True).start()
                self.orders.place()
            select.select([listening, woken], [], [], 0.2)

def reap(number, frame):
    pass

def stop(number, frame):
    sys.exit(0)

master = os.getpid()
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(8)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGCHLD, reap)
signal.signal(signal.SIGUSR1, reap)
workers = []
for stuck in (False, True):
    pid = os.fork()
    if pid == 0:
        Worker(stuck).run()
        os._exit(0)
    workers.append(pid)
print(workers[1], flush=True)
while True:
    time.sleep(0.05)
"""


LEFT_BEHIND = """\
import os, sys, threading, time

rows, log, held = threading.Lock(), threading.RLock(), threading.Event()

def upload():
    with rows, log:
        held.set()
        time.sleep(3600)

threading.Thread(target=upload, daemon=True).start()
held.wait()
if os.fork() == 0:
    with rows:
        pass
if os.fork() == 0:
    with log:
        pass
print("0", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture(params=VERSIONS)
def start(
    request: pytest.FixtureRequest, launch: Callable[..., Any], tmp_path: Path
) -> Callable[[str], tuple[int, int]]:
    """Start a server; its process and the number that it prints."""

    def started(text: str) -> tuple[int, int]:
        script = tmp_path / "server.py"
        script.write_text(text)
        command = (interpreter(request.param), "-I", str(script))
        process: subprocess.Popen[bytes] = launch(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        return process.pid, int(process.stdout.readline())

    return started


Start = Callable[[str], tuple[int, int]]


def inspected(pid: int, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What ``inspect`` says of a process as soon as it says enough."""
    end = time.monotonic() + WITHIN_S
    while True:
        done = subprocess.run(
            [*TOOL, "inspect", "--json", str(pid)],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        if (done.returncode == LIKELY and enough(found)) or time.monotonic() > end:
            return found


def stuck(found: dict[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """The threads that are likely stuck."""
    threads = found["threads"]
    return {(each["pid"], each["tid"]): each for each in threads if each["likely"]}


def test_the_worker_and_its_lines_are_named_while_the_master_goes_on(start: Start) -> None:
    master, worker = start(SERVER)
    found = inspected(master, lambda found: len(stuck(found)) == 2)
    threads = stuck(found)
    assert {pid for pid, _ in threads} == {worker}
    told = " ".join(each["does"] for each in threads.values())
    assert "(self._log of Orders) in place (server.py:11), held by" in told
    assert "(self._rows of Orders) in archive (server.py:17), held by" in told
    assert found["partial"]
    assert f"Main thread of process {master}" in found["proof"]["sentence"]


def test_a_lock_that_a_fork_left_behind_names_the_parent_s_thread(start: Start) -> None:
    parent, _ = start(LEFT_BEHIND)
    found = inspected(parent, lambda found: len(stuck(found)) == 2)
    threads = stuck(found)
    assert len(threads) == 2
    for each in threads.values():
        assert each["held_by"]["pid"] == parent and each["held_by"]["tid"] != parent
        assert f"held in the parent by thread {each['held_by']['tid']}" in each["does"]
        assert "which a fork leaves behind" in each["does"]
    first = next(each["does"] for each in threads.values() if " Lock " in each["does"])
    assert "inside `with rows` at server.py:6" in first
