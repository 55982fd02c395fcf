"""Nothing is left behind: not by a hung cell, not by a harness that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation, Stopped
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the promise is Linux's"),
    pytest.mark.timeout(600),
]

Alive = Callable[[], dict[int, str]]
Launch = Callable[..., "subprocess.Popen[bytes]"]
TOKEN = "WANTED_TOKEN"

RESIST = """
import os, signal, sys
here, there = os.pipe()

def stay(*, stop=False):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    os.write(there, b"x")
    if stop:
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        signal.pause()

def grow(*steps):
    if os.fork() == 0:
        for step in steps:
            step()
        stay()

def again():
    if os.fork():
        os._exit(0)

def become():  # another program, without our environment
    code = "import signal, os; os.write(%d, b'x'); signal.pause()" % there
    os.set_inheritable(there, True)
    arguments = [sys.executable, "-I", "-S", "-c", code, os.environ["WANTED_TOKEN"]]
    os.execve(sys.executable, arguments, {})

ways = [
    [],  # in our group, holds the pipes
    [os.setsid],
    [os.setsid, again],  # nobody's child
    [lambda: os.setpgid(0, 0), again, os.setsid, again, lambda: os.closerange(0, 3)],
    [lambda: stay(stop=True)],
    [again, become],
]
ways = [ways[n % len(ways)] for n in CHOSEN]
for way in ways:
    grow(*way)
for way in ways:
    os.read(here, 1)
"""


def resist(*chosen: int) -> str:
    """An entry that starts grandchildren, each hard to end in a way of its own."""
    return RESIST.replace("CHOSEN", repr(chosen or tuple(range(6))))


DEADLOCK = "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"
SLEEP = "import time; time.sleep(1000)"


def test_fifty_hung_cells_leave_no_process(
    make_cell: Callable[..., Cell], token: str, alive: Alive, tmp_path: Path
) -> None:
    """Four workers, each with a workspace of its own, as under pytest-xdist."""
    cells = [
        make_cell(
            resist(n, n + 1 + n // 6) + (SLEEP if n % 5 == 0 else DEADLOCK),
            # Beside processes that may still move, which could write into its memory, nothing is
            # proved of a lock without an owner: every cell is ended at its deadline.
            deadline_s=1.5,
            calling="fork" if n % 5 == 0 else ("main", "thread")[n % 2],
            # While Python catches SIGINT, any of the others could end the main thread's wait.
            prelude="import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)",
            variables={TOKEN: token},
        )
        for n in range(50)
    ]
    results: list[CellResult] = []
    turn = threading.Lock()
    left = iter(cells)

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        with Workspace(tmp_path / "cache", folder) as workspace:
            while True:
                with turn:
                    cell = next(left, None)
                if cell is None:
                    return
                results.append(run_cell(cell, workspace))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alive() == {}
    assert len(results) == 50
    for result in results:
        assert isinstance(result.observation, Known), result.why
        seen = result.observation.value
        assert isinstance(seen.end, Stopped)
        assert seen.leftovers.alive == ()
        # On a busy machine it may not have come to its lock by then, and still move.
        assert result.verdict in (Verdict.HANG, Verdict.SLOW) and seen.end.reason == "deadline"
        assert 1.4 < seen.duration_s < 20
    assert sum(seen_leftovers(result) >= 3 for result in results) >= 10  # had come that far
    assert not list(tmp_path.glob("[0-9]/*"))


def seen_leftovers(result: CellResult) -> int:
    """How many processes were ended with a cell."""
    assert isinstance(result.observation, Known)
    return result.observation.value.leftovers.ended


STORMS = {
    # The parent of each is gone at once: there is no moment at which a list of them is complete.
    "relay": "if os.fork(): os._exit(0)",
    "relay-of-sessions": "if os.fork(): os._exit(0)\n        os.setsid()",
    "growing": "if os.fork(): signal.pause()\n        time.sleep(0.05)",
    "growing-unseen": "if os.fork(): signal.pause()\n        os.setsid(); time.sleep(0.05)",
}


@pytest.mark.parametrize("kind", STORMS)
def test_a_fork_storm_is_ended(
    run: Callable[..., CellResult], observed: Callable[[CellResult], Observation], kind: str
) -> None:
    statement = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
here, there = os.pipe()
if os.fork() == 0:
    end = time.monotonic() + 30  # should the test fail, the machine need not
    generation = 0
    while time.monotonic() < end:
        {STORMS[kind]}
        generation += 1
        if generation == 10:
            os.write(there, b"x")
    os._exit(0)
os.read(here, 1)
time.sleep(1000)
"""
    result = run(statement, deadline_s=1.0)  # looks that none of them is alive
    assert observed(result).leftovers.alive == ()
    assert result.verdict is not Verdict.OK


def test_a_bush_of_processes_is_ended(
    run: Callable[..., CellResult], observed: Callable[[CellResult], Observation]
) -> None:
    statement = """
import os, signal
here, there = os.pipe()
for _ in range(5):
    os.fork()
os.write(there, b"x")
for _ in range(32 if os.getpid() == os.getpgid(0) else 0):
    os.read(here, 1)
signal.pause()
"""
    seen = observed(run(statement, deadline_s=2.0))
    assert seen.leftovers.alive == () and seen.leftovers.ended >= 32


# --- the harness goes away ------------------------------------------------------------------------

HARNESS = """
import pathlib, sys
from deadlock_matrix.model.cell import *
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace
folder, statement, calling = sys.argv[1:]
cell = Cell(target="t", interpreter=Interpreter(name="p", executable=sys.executable),
            profile=Profile(name="p"), layout=Layout(name="l"), deadline_s=300.0,
            context=Context(name="c", calling=Calling(calling)),
            entry=Entry(name="e", statement=statement))
with Workspace(pathlib.Path(folder), pathlib.Path(folder, "scratch")) as workspace:
    run_cell(cell, workspace)
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("calling", ["main", "spawn"])
def test_a_harness_that_is_ended_leaves_no_probe(
    launch: Launch,
    alive: Alive,
    until: Callable[..., None],
    tmp_path: Path,
    number: str,
    calling: str,
) -> None:
    at = tmp_path / "ready"
    statement = f"{resist()}\nopen({str(at)!r}, 'w').close()\n{SLEEP}"
    harness = launch(
        sys.executable, "-c", HARNESS, str(tmp_path), statement, calling, stderr=subprocess.DEVNULL
    )
    until(at.exists)
    assert len(alive()) >= 6 + 3  # the probe's, the harness and its helper
    # As a terminal would: to the whole foreground group, in which the helpers are too.
    if number == "SIGINT":
        os.killpg(harness.pid, signal.SIGINT)
    else:
        harness.send_signal(getattr(signal, number))
    assert harness.wait(120) != 0
    until(lambda: not alive())
    if number == "SIGINT":
        assert not list((tmp_path / "scratch").iterdir())


def test_a_probe_does_not_outlive_the_helper_either(
    make_cell: Callable[..., Cell], token: str, alive: Alive, until: Callable[..., None],
    tmp_path: Path,
) -> None:  # fmt: skip
    at = tmp_path / "ready"
    statement = f"open({str(at)!r}, 'w').close()\n{SLEEP}"
    cell = make_cell(statement, variables={TOKEN: token}, deadline_s=60.0)
    with Workspace(tmp_path / "cache", tmp_path / "scratch") as workspace:
        failed: list[BaseException] = []

        def work() -> None:
            try:
                run_cell(cell, workspace)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        until(at.exists)
        os.kill(workspace.supervisor._guarded, signal.SIGKILL)  # type: ignore[attr-defined]
        thread.join(30)
        assert not thread.is_alive()
        assert "helper that guards the probes" in str(failed[0])
        until(lambda: not alive())
        again = run_cell(make_cell("pass", variables={TOKEN: token}), workspace)
        assert again.verdict is Verdict.OK
