"""The helper that guards a process tree: starting, waiting, ending, letting go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.errors import RunError
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Leftovers, Signalled
from deadlock_matrix.run.process import Order
from deadlock_matrix.run.subreaper import SubreaperSupervisor

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's"),
    pytest.mark.timeout(600),
]

Until = Callable[..., None]
TOKEN = "WANTED_TOKEN"


class Driver:
    """A supervisor, and the read end of what its processes write to standard output."""

    def __init__(self, token: str, folder: Path) -> None:
        self.supervisor = SubreaperSupervisor()
        self.token = token
        self.folder = folder
        self.output, self._write_end = os.pipe()
        self._null = os.open(os.devnull, os.O_RDWR)

    def start(self, code: str, **rest: Any) -> int:
        command = ("/bin/sh", "-c", code) if rest.pop("shell", False) else _python(code)
        order = {
            "command": command,
            "environment": {TOKEN: self.token, "PATH": os.environ["PATH"]},
            "folder": self.folder,
            "streams": (self._null, self._write_end, self._write_end),
        }
        return self.supervisor.start(Order(**{**order, **rest}))

    def line(self) -> str:
        found = b""
        while not found.endswith(b"\n"):
            found += os.read(self.output, 1)
        return found.decode().strip()

    def close(self) -> None:
        self.supervisor.close()
        for descriptor in (self.output, self._write_end, self._null):
            os.close(descriptor)


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


@pytest.fixture
def driver(token: str, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(token, tmp_path)
    yield made
    made.close()


PAUSE = "import os, signal; os.write(1, b'there\\n'); signal.pause()"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("exit 0", Exited(status=0)),
        ("exit 35", Exited(status=35)),
        ("exit 255", Exited(status=255)),
        ("kill -SEGV $$", Signalled(signal=signal.SIGSEGV)),
        ("kill -KILL $$", Signalled(signal=signal.SIGKILL)),
    ],
)
def test_how_it_ended(driver: Driver, code: str, end: Exited | Signalled) -> None:
    driver.start(code, shell=True)
    assert driver.supervisor.wait(120) == end
    assert driver.supervisor.wait(0) == end  # asked again
    assert driver.supervisor.end().alive == ()


def test_one_tree_after_the_other(driver: Driver) -> None:
    for status in range(20):
        driver.start(f"exit {status}", shell=True)
        assert driver.supervisor.wait(120) == Exited(status=status)
        assert driver.supervisor.end() == Leftovers(ended=0, alive=())


def test_waiting_is_bounded(driver: Driver) -> None:
    driver.start(PAUSE)
    assert driver.line() == "there"
    assert driver.supervisor.wait(0) is None
    assert driver.supervisor.wait(0.01) is None
    assert driver.supervisor.end() == Leftovers(ended=1, alive=())
    assert driver.supervisor.wait(0) is None


def test_asks_its_processes_for_their_alarms(driver: Driver) -> None:
    code = """
import os, signal, time
child = os.fork()
if not child:
    signal.alarm(1000)
    read_end, write_end = os.pipe()
    os.write(1, f'{os.getpid()}\\n'.encode())
    os.read(read_end, 1)
os.waitpid(child, 0)
"""
    pid = driver.start(code)
    child = int(driver.line())
    while not all(_asleep_in(each, "do_wait", "pipe_read") for each in (pid, child)):
        pass
    found = driver.supervisor.alarms([pid, child, 999_999_999], 5.0)
    assert isinstance(found[pid], Known) and found[pid].value == ()
    assert isinstance(found[child], Known) and 900 < found[child].value[0] <= 1000
    assert isinstance(found[999_999_999], Unknown)
    assert driver.supervisor.wait(0) is None  # nobody took its stop for its end
    os.kill(child, signal.SIGKILL)
    assert driver.supervisor.wait(120) == Exited(status=0)


def _asleep_in(pid: int, *functions: str) -> bool:
    return any(name in Path(f"/proc/{pid}/wchan").read_text() for name in functions)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": ("/nowhere/program",)}, "/nowhere/program could not be started: FileNotFound"),
        ({"command": ("/",)}, "PermissionError"),
        ({"folder": Path("/nowhere")}, "FileNotFoundError"),
        ({"command": ("/bin/true", "a\0b")}, "embedded null"),
        ({"environment": {"A=B": "c"}}, "illegal environment variable name"),
        ({"environment": {"LARGE": "x" * 3_000_000}}, "too long"),
    ],
)
def test_what_cannot_be_started(driver: Driver, change: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=said):
        driver.start("exit 0", shell=True, **change)
    driver.start("exit 3", shell=True)  # the helper is none the worse
    assert driver.supervisor.wait(120) == Exited(status=3)


def test_the_process_has_what_the_order_says_and_nothing_else(driver: Driver) -> None:
    code = """
import os
print(sorted(os.environ), os.getcwd(), os.listdir("/proc/self/fd"), os.getsid(0) == os.getpid())
"""
    environment = {"ONE": "1", "ODD": "\udcff", "LONG": "x" * 100_000}
    driver.start(code, environment=environment)
    names = sorted({*environment, "LC_CTYPE"})  # the last is Python's own doing (PEP 538)
    expected = f"{names} {driver.folder} ['0', '1', '2', '3'] True"
    assert driver.line() == expected  # 3 is the listing itself


def test_a_command_of_the_user_s_stays_in_the_session(driver: Driver) -> None:
    driver.start("import os; print(os.getsid(0), os.getpgid(0))", new_session=False)
    assert driver.line() == f"{os.getsid(0)} {os.getpgid(0)}"


@pytest.mark.parametrize("new_session", [False, True])
def test_signals_that_nohup_ignores(token: str, tmp_path: Path, new_session: bool) -> None:
    """A user's command still ignores them; a probe starts afresh."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        driver = Driver(token, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
        driver.start(code, new_session=new_session)
        assert driver.line() == str(not new_session)
    finally:
        driver.close()


def test_orphans_are_roots_of_the_tree(driver: Driver, until: Until) -> None:
    if not Path("/proc/self/task", str(os.getpid()), "children").exists():
        pytest.skip("a kernel without CONFIG_PROC_CHILDREN")
    code = """
import os, signal
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.write(1, b"%d\\n" % os.getpid())
        signal.pause()
    os._exit(0)
os.wait()
signal.pause()
"""
    main = driver.start(code)
    orphan = int(driver.line())
    until(lambda: driver.supervisor.tree_roots() == (main, orphan))
    assert driver.supervisor.end() == Leftovers(ended=2, alive=())


def test_the_end_counts_who_was_there(driver: Driver, alive: Callable[[], object]) -> None:
    code = """
import os, signal
here, there = os.pipe()
for _ in range(5):
    if os.fork() == 0:
        os.write(there, b"x")
        signal.pause()
for _ in range(5):
    os.read(here, 1)
os.write(1, b"there\\n")
"""
    driver.start(code)
    assert driver.line() == "there"
    assert driver.supervisor.wait(120) == Exited(status=0)
    assert driver.supervisor.end() == Leftovers(ended=5, alive=())
    assert alive() == {}
    assert driver.supervisor.end() == Leftovers(ended=0, alive=())  # nothing to be done any more


def test_what_is_released_lives_on(driver: Driver, state: Callable[[int], str]) -> None:
    pid = driver.start(PAUSE, new_session=False, may_outlive=True)
    assert driver.line() == "there"
    driver.supervisor.release()
    driver.supervisor.close()
    assert state(pid) in "RS"
    os.kill(pid, signal.SIGKILL)


def test_closing_ends_the_tree_and_may_be_repeated(
    driver: Driver, alive: Callable[[], object]
) -> None:
    driver.start(PAUSE)
    assert driver.line() == "there"
    driver.supervisor.close()
    assert alive() == {}
    driver.supervisor.close()
    with pytest.raises(RunError, match="helper that guards the probes"):
        driver.start(PAUSE)


def test_a_group_of_the_user_s_own_session_is_left_alone(
    driver: Driver, launch: Callable[..., subprocess.Popen[bytes]], state: Callable[[int], str]
) -> None:
    """A command may join a process group with others in it; only the tree is ended."""
    # Not a session of its own, so that the command can join its group.
    other = launch("sleep", "1000", start_new_session=False, process_group=0)
    code = f"import os; os.setpgid(0, {other.pid}); {PAUSE}"
    driver.start(code, new_session=False)
    assert driver.line() == "there"
    assert driver.supervisor.end() == Leftovers(ended=1, alive=())
    assert state(other.pid) in "RS"


def test_a_helper_that_does_not_answer_is_given_up(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, alive: Callable[[], object], until: Until
) -> None:
    driver.start(PAUSE)
    assert driver.line() == "there"
    monkeypatch.setattr("deadlock_matrix.run.subreaper.ANSWER_WITHIN_S", 0.5)
    os.kill(driver.supervisor._guard.pid, signal.SIGSTOP)
    os.kill(driver.supervisor._guarded, signal.SIGSTOP)
    with pytest.raises(RunError, match="did not answer"):
        driver.supervisor.end()
    driver.supervisor.close()
    until(lambda: alive() == {})


FORKS = f"import os\nif os.fork() == 0: {PAUSE}\n{PAUSE}"


@pytest.mark.parametrize("new_session", [True, False])
def test_a_process_that_kills_the_helper_is_ended(
    driver: Driver, alive: Callable[[], object], until: Until, new_session: bool
) -> None:
    driver.start(FORKS, new_session=new_session, may_outlive=not new_session)
    assert driver.line() == driver.line() == "there"
    os.kill(driver.supervisor._guarded, signal.SIGKILL)
    with pytest.raises(RunError, match="helper"):
        for _ in range(100):
            driver.supervisor.wait(0.1)
    driver.supervisor.close()
    until(lambda: alive() == {})


def test_a_process_that_stops_the_helper_does_not_keep_it_from_working(driver: Driver) -> None:
    driver.start(FORKS)
    assert driver.line() == driver.line() == "there"
    os.kill(driver.supervisor._guarded, signal.SIGSTOP)
    assert driver.supervisor.end() == Leftovers(ended=2, alive=())
