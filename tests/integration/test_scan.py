"""``deadlock-matrix scan`` as it is used: over several real processes, some of them stuck."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.endings import INTERRUPTED
from integration.test_attaching import as_nobody

from deadlock_matrix.capture.collector import open_collector
from deadlock_matrix.capture.run_counts import waits_for_a_while
from deadlock_matrix.model.scan import Tally
from deadlock_matrix.run.choosing import Chooser, Wanted
from deadlock_matrix.run.handover import hand_over
from deadlock_matrix.run.scanning import Limits, Scanner
from deadlock_matrix.run.subject import Subject

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads procfs"),
    pytest.mark.timeout(300),
]

TOOL = (sys.executable, "-m", "deadlock_matrix")
Launch = Callable[..., "subprocess.Popen[bytes]"]
Until = Callable[..., None]

# Whether SIGINT is ignored is inherited, and a proof may depend on it.
BEGIN = "import os, signal, threading, time; signal.signal(2, signal.default_int_handler)\n"
READY = "os.write(1, b'ready\\n')\n"
CROSSED_JOINS = f"""
go, two = threading.Event(), []
def join(which):
    go.wait()
    two[which].join()
two += [threading.Thread(target=join, args=[1]), threading.Thread(target=join, args=[0])]
for thread in two:
    thread.start()
go.set()
{READY}"""
CODE = {
    "self_lock": f"lock = threading.Lock(); lock.acquire()\n{READY}lock.acquire()",
    "join_circle": f"{CROSSED_JOINS}two[0].join()",
    "partial": f"{CROSSED_JOINS}\nwhile True: time.sleep(0.02)",
    "sleeping": f"{READY}time.sleep(1000)",
    "idle": "go = threading.Event()\n"
    "threading.Thread(target=go.wait, args=[1000]).start()\n"
    f"{READY}os.read(0, 1)",
    "busy": f"{READY}\nwhile True: pass",
    # Likely: that nobody sends SIGTERM, whose handler could release the lock, must be assumed.
    "releasable": "lock = threading.Lock(); lock.acquire()\n"
    "signal.signal(signal.SIGTERM, lambda *_: lock.release())\n"
    f"{READY}lock.acquire()\n{READY}time.sleep(1000)",
}
STUCK = {"self_lock": "deadlock", "join_circle": "deadlock", "partial": "partial"}


def scan(*options: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOOL, "scan", *options], capture_output=True, text=True, timeout=120, check=False, **rest
    )


@pytest.fixture
def start(launch: Launch, tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """A process that runs a script named after its kind and the test; it has said it is ready."""
    token = os.urandom(4).hex()

    def run(kind: str) -> subprocess.Popen[bytes]:
        script = tmp_path / f"{kind}-{token}.py"
        script.write_text(BEGIN + CODE[kind])
        process = launch(sys.executable, str(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    run.pattern = f"*-{token}.py"  # type: ignore[attr-defined]
    return run


Start = Callable[[str], "subprocess.Popen[bytes]"]


def pattern_of(start: Start) -> str:
    pattern: str = start.pattern  # type: ignore[attr-defined]
    return pattern


class Service:
    """``scan --every --json-lines``, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it has ended"
        self.said.append(json.loads(line))
        return self.said[-1]


@pytest.fixture
def serve(launch: Launch) -> Iterator[Callable[..., Service]]:
    started = []

    def run(*options: str) -> Service:
        process = launch(
            *TOOL, "scan", "--every", "0.2", "--json-lines", *options,
            stdout=subprocess.PIPE,
            # A shell's "&" leaves SIGINT ignored in what it starts, and this is ended by it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        started.append(process)
        return Service(process)

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) in INTERRUPTED


def test_a_line_for_each_that_is_stuck(start: Start, until: Until) -> None:
    processes = {kind: start(kind) for kind in (*STUCK, "sleeping", "idle", "busy")}
    found = []

    def all_found() -> bool:  # they may not have come to their deadlocks at once
        done = scan("--json-lines", "--name", pattern_of(start))
        found[:] = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode == 35 and len(found) >= len(STUCK)

    until(all_found)
    pids = {process.pid: kind for kind, process in processes.items()}
    assert {pids[each["pid"]]: each["outcome"] for each in found} == STUCK
    for each in found:
        assert each["event"] == "deadlock" and each["assumptions"] == []
        assert each["program"].endswith(pattern_of(start)[1:])
        assert any("stack" in thread and thread["stack"] for thread in each["threads"])
    (partial,) = (each for each in found if each["outcome"] == "partial")
    assert partial["pid"] not in [thread["tid"] for thread in partial["threads"]]


def test_what_people_read(start: Start, until: Until) -> None:
    pid = start("self_lock").pid
    start("sleeping")
    until(lambda: scan("--name", pattern_of(start)).returncode == 35)
    done = scan("--name", pattern_of(start))
    first, last = done.stdout.splitlines()
    assert first.startswith(f"deadlock: process {pid} (") and f"Main thread {pid} waits" in first
    assert last == "2 processes looked at, 1 of them closely: 1 deadlock"
    assert done.stderr == ""


def test_healthy_processes(start: Start) -> None:
    pids = [start(kind).pid for kind in ("sleeping", "idle", "busy")]
    done = scan(*(word for pid in pids for word in ("--pid", str(pid))))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("3 processes looked at, ")
    assert done.stdout.endswith(": no deadlock\n")


def test_a_likely_one_has_a_status_of_its_own(start: Start, until: Until) -> None:
    pid = str(start("releasable").pid)
    until(lambda: scan("--pid", pid).returncode == 36)
    (line,) = scan("--pid", pid, "--json-lines").stdout.splitlines()
    assert json.loads(line)["outcome"] == "likely" and json.loads(line)["assumptions"]


def test_each_is_told_once(start: Start, serve: Callable[..., Service]) -> None:
    service = serve("--name", pattern_of(start))
    start("sleeping")
    first = start("self_lock")
    assert service.next()["pid"] == first.pid
    second = start("join_circle")
    assert service.next()["pid"] == second.pid
    third = start("partial")  # several rounds later
    assert service.next()["pid"] == third.pid
    for process in (first, third):
        process.kill()
        process.wait()
        said = service.next()
        assert (said["event"], said["pid"]) == ("over", process.pid)
        assert said["over"] == "it has ended"


def test_a_deadlock_that_somebody_ends_is_over(start: Start, serve: Callable[..., Service]) -> None:
    process = start("releasable")
    service = serve("--pid", str(process.pid))
    assert service.next()["outcome"] == "likely"
    process.terminate()
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    assert service.next()["over"] == "it is moving again"
    process.kill()
    process.wait()
    assert service.process.wait(60) == 0  # every --pid has ended


def test_a_command_is_handed_the_finding(start: Start, until: Until, tmp_path: Path) -> None:
    pid = str(start("self_lock").pid)
    until(lambda: scan("--pid", pid).returncode == 35)
    command = f"sh -c 'cat >> \"{tmp_path}/got\"; echo said; exit 3'"
    done = scan("--pid", pid, "--on-deadlock", command)
    assert done.returncode == 35
    got = json.loads((tmp_path / "got").read_text())
    assert str(got["pid"]) == pid and got["outcome"] == "deadlock"
    assert "said" in done.stderr and "said" not in done.stdout
    assert "deadlock-matrix: --on-deadlock: sh ended with status 3\n" in done.stderr


def test_a_command_that_does_not_end_is_ended(
    tmp_path: Path, token: str, alive: Callable[[], dict[int, str]], monkeypatch: Any
) -> None:
    monkeypatch.setenv("WANTED_TOKEN", token)
    problem = hand_over(["sh", "-c", "sleep 1000; true"], b"x" * 1_000_000, 0.5)
    assert problem == "sh was ended, as it took more than 0.5 s"
    assert hand_over([str(tmp_path / "missing")], b"").endswith("No such file or directory")
    assert hand_over(["true"], b"x" * 1_000_000) == ""  # it does not read what it is given
    assert not alive()


def test_processes_that_may_not_be_read_are_counted(start: Start) -> None:
    wrapper = as_nobody()
    runs = subprocess.run([*wrapper, sys.executable, "-c", ""], capture_output=True, check=False)
    if runs.returncode != 0:
        pytest.skip(f"cannot be tried here: {runs.stderr.decode().strip()}")
    process = start("sleeping")
    done = subprocess.run(
        [*wrapper, *TOOL, "scan", "--user", "0"],
        capture_output=True, text=True, timeout=120, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 processes looked at" in done.stdout
    assert "(it belongs to user 0; inspect it as that user, with sudo" in done.stdout
    named = subprocess.run(
        [*wrapper, *TOOL, "scan", "--pid", str(process.pid)],
        capture_output=True, text=True, timeout=120, check=False, cwd="/",
    )  # fmt: skip
    assert named.returncode == 125
    assert named.stderr.startswith(
        f"deadlock-matrix: process {process.pid} cannot be inspected: it belongs to user 0;"
    )


def test_by_user_and_control_group(start: Start) -> None:
    pid = str(start("sleeping").pid)
    assert scan("--pid", pid, "--user", str(os.geteuid())).stdout.startswith("1 process ")
    assert scan("--pid", pid, "--user", "4321").stdout.startswith("no running Python process ")
    group = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[0].split(":", 2)[2]
    assert scan("--pid", pid, "--cgroup", group).stdout.startswith("1 process ")
    assert scan("--pid", pid, "--cgroup", "no such group").stdout.startswith(
        "no running Python process "
    )


def test_a_child_and_the_parent_that_waits_for_it_are_told_once(
    launch: Launch, until: Until, tmp_path: Path
) -> None:
    child = tmp_path / f"child-{os.urandom(4).hex()}.py"
    child.write_text(BEGIN + CODE["self_lock"])
    parent = tmp_path / child.name.replace("child", "parent")
    parent.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, {str(child)!r}])")
    process = launch(sys.executable, str(parent), stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    found = []

    def told() -> bool:
        names = ("--name", child.name, "--name", parent.name)
        done = scan(*names, "--json-lines")
        found[:] = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode == 35 and bool(found)

    until(told)
    (only,) = found
    (pid,) = {thread["pid"] for thread in only["threads"]} - {process.pid}
    assert only["pid"] in (pid, process.pid) and only["outcome"] == "deadlock"


def test_a_process_that_executes_another_program_is_asked_again(
    launch: Launch, tmp_path: Path
) -> None:
    after = tmp_path / "after.py"
    after.write_text(BEGIN + CODE["sleeping"])
    before = tmp_path / "before.py"
    before.write_text(
        "import os, sys\nos.write(1, b'ready\\n')\nsys.stdin.readline()\n"
        f"os.execv(sys.executable, [sys.executable, {str(after)!r}])"
    )
    process = launch(sys.executable, str(before), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    collector = open_collector()
    try:
        chooser = Chooser(collector, Wanted(pids=frozenset({process.pid})))

        def words() -> tuple[str, ...]:
            (chosen,) = chooser.choose(time.monotonic() + 60).chosen
            return chosen.program.words

        assert words()[-1] == str(before)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        assert words()[-1] == str(after)
    finally:
        collector.close()


def test_what_there_was_no_time_for_is_counted(start: Start) -> None:
    pids = frozenset(start(kind).pid for kind in ("self_lock", "sleeping"))
    collector = open_collector()
    try:
        chooser = Chooser(collector, Wanted(pids=pids))
        assert len(chooser.choose(time.monotonic() + 60).chosen) == 2
        found = Scanner(collector, chooser, Limits(settle_s=0.0, round_s=0.0)).round()
        assert found.tally == Tally(processes=2, looked_closely=0, late=1, refused={})
        assert found.new == found.standing == ()
    finally:
        collector.close()


def test_what_ends_during_a_scan_is_not_called_late(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("self_lock")
    collector = open_collector()
    try:
        chooser = Chooser(collector, Wanted(pids=frozenset({process.pid})))
        scanner = Scanner(collector, chooser)
        screen = scanner._screen

        def end_before(batch: list[Subject]) -> set[int]:
            process.kill()
            process.wait(60)
            return screen(batch)

        monkeypatch.setattr(scanner, "_screen", end_before)
        assert scanner.round().tally == Tally(processes=1, looked_closely=0, late=0, refused={})
    finally:
        collector.close()


LIMITED = {
    "sleep": "time.sleep(1000)",
    "old sleep": "import select; select.select([], [], [], 1000)",
    "event": "threading.Event().wait(1000)",
}
UNLIMITED = {
    "event": "threading.Event().wait()",
    "select": "import select; select.select([0], [], [], 1000)",
    "epoll": "import select; p = select.epoll(); p.register(0); p.poll(1000)",
    "read": "os.read(0, 1)",
}


@pytest.mark.parametrize(
    ("kind", "limited"),
    [*((kind, True) for kind in LIMITED), *((kind, False) for kind in UNLIMITED)],
)
def test_who_sleeps_for_a_while_is_known_at_a_glance(
    launch: Launch, until: Until, kind: str, limited: bool
) -> None:
    code = BEGIN + READY + (LIMITED if limited else UNLIMITED)[kind]
    process = launch(sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    pid = process.pid

    def asleep() -> bool:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "S" and len(words) > 6

    until(asleep)
    assert waits_for_a_while(pid, pid) is limited
    assert not waits_for_a_while(pid, 1)  # no thread of it


def test_no_such_user_and_no_such_process() -> None:
    done = scan("--user", "nobody-is-called-so")
    assert done.returncode == 2 and "there is no user" in done.stderr
    done = scan("--pid", "4194304")
    assert done.returncode == 125 and "there is no process 4194304" in done.stderr
