"""Verdicts of real processes, and when they are given."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import CellResult, Exited, Observation, Stopped
from deadlock_matrix.model.verdict import ProofKind, Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.rates import Rates
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no proof"),
    pytest.mark.timeout(600),
]

Run = Callable[..., CellResult]
Observed = Callable[[CellResult], Observation]
Scenario = Callable[[str], Path]


@pytest.fixture
def deadlocked(run: Run, scenario_folder: Scenario, python_at_the_ends: str) -> CellResult:
    """The package whose thread imports the package while that joins it."""
    return run(
        "import same_package",
        overlay=scenario_folder("thread-imports-same-package"),
        python=python_at_the_ends,
    )


def test_a_deadlock_is_proved_at_once(deadlocked: CellResult, observed: Observed) -> None:
    seen = observed(deadlocked)
    assert deadlocked.verdict is Verdict.DEADLOCK
    assert (seen.end, seen.phase) == (Stopped(reason="proved"), "entry")
    judgement = deadlocked.judgement
    assert judgement is not None and judgement.proof is not None
    assert judgement.proof.kind is ProofKind.CLOSED_WORLD
    assert deadlocked.why == judgement.proof.sentence and "same_package" in deadlocked.why
    assert deadlocked.detected_after_s is not None
    assert 0 < deadlocked.detected_after_s < 10
    assert isinstance(seen.last_progress_s, Known)
    assert 0 < seen.last_progress_s.value < seen.duration_s
    assert isinstance(seen.probe, Unknown) and "before the entry had finished" in seen.probe.reason


def test_the_evidence_of_a_deadlock(deadlocked: CellResult, observed: Observed) -> None:
    fact = observed(deadlocked).evidence
    assert isinstance(fact, Known)
    evidence = fact.value
    (process,) = evidence.after.processes
    assert len(process.threads) == 2
    for facts, native in ((evidence.stacks, False), (evidence.native_stacks, True)):
        (stacks,) = facts
        assert isinstance(stacks.stacks, Known), stacks.stacks
        threads = stacks.stacks.value.threads
        assert {thread.tid for thread in threads} == {thread.tid for thread in process.threads}
        assert all(thread.python for thread in threads)
        assert all(bool(thread.native) is native for thread in threads)
    functions = {frame.function for thread in threads for frame in thread.python}
    assert {"prepare", "join"} <= functions
    assert evidence.before.ended_s <= evidence.after.begun_s
    whole = msgspec.json.encode(deadlocked)
    assert msgspec.json.decode(whole, type=CellResult) == deadlocked
    assert len(whole) < 1_000_000


def test_an_endless_sleep_hangs_and_says_so(run: Run, observed: Observed) -> None:
    result = run("import time; time.sleep(1000)", deadline_s=4)
    seen = observed(result)
    assert result.verdict is Verdict.HANG
    assert (seen.end, seen.phase) == (Stopped(reason="deadline"), "entry")
    assert seen.duration_s >= 4
    assert result.detected_after_s is None
    assert result.judgement is not None and result.judgement.proof is None
    (gap, *_) = result.judgement.gaps
    assert gap.kind == "does-not-hold" and "time limit" in gap.detail
    assert "with a time limit" in result.why and "due in" in result.why
    assert isinstance(seen.evidence, Known)
    assert seen.progressing == Known(value=False, source=seen.progressing.source)  # type: ignore[union-attr]
    (stacks,) = seen.evidence.value.stacks
    assert isinstance(stacks.stacks, Known)
    assert stacks.stacks.value.threads[0].python[-1].file == "<entry>"
    assert seen.evidence.value.native_stacks


@pytest.mark.parametrize(
    "statement",
    [
        "import time\nwhile True:\n" + "    time.sleep(0.001)\n" * 100,
        "n = 0\nwhile True:\n" + "    for _ in range(1000): n += 1\n" * 100,
    ],
)
def test_one_that_moves_at_the_deadline_is_slow(
    run: Run, observed: Observed, statement: str
) -> None:
    result = run(statement, deadline_s=2.0)
    assert result.verdict is Verdict.SLOW, result.why
    assert "still moving in the entry" in result.why
    assert isinstance(observed(result).progressing, Known)


def unread(seen: Observation) -> list[str]:
    """Why the stacks of processes were not read at the end."""
    stacks = seen.evidence.value.stacks if isinstance(seen.evidence, Known) else ()
    return [each.stacks.reason for each in stacks if isinstance(each.stacks, Unknown)]


@pytest.mark.parametrize("calling", ["thread", "two-threads"])
def test_what_moves_is_the_entry_and_not_only_the_main_thread(
    run: Run, observed: Observed, calling: str
) -> None:
    moves = "n = 0\nwhile True:\n" + "    for _ in range(1000): n += 1\n" * 100
    result = run(moves, calling=calling, deadline_s=4.0)
    assert result.verdict is Verdict.SLOW, result.why
    result = run("import time; time.sleep(1000)", calling=calling, deadline_s=4.0)
    assert result.verdict is Verdict.HANG, result.why
    seen = observed(result)
    assert seen.progressing.or_else(True) is False, unread(seen)


def test_the_deadline_is_total(run: Run, observed: Observed) -> None:
    """Output, processes that come and go, and signs of progress do not put it off."""
    statement = """
import os, time
while True:
    print("x" * 100, flush=True)
    if os.fork() == 0:
        os._exit(0)
    os.wait()
"""
    began = time.monotonic()
    result = run(statement, deadline_s=1.5)
    assert time.monotonic() - began >= 1.5
    assert result.verdict in (Verdict.SLOW, Verdict.HANG)
    assert observed(result).end == Stopped(reason="deadline")


def test_the_clock_of_the_wall_does_not_matter(
    run: Run, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    result = run("import time; time.sleep(0.3)", deadline_s=30)
    assert result.verdict is Verdict.OK
    assert observed(result).duration_s >= 0.3


def test_a_deadline_before_anything_has_begun(run: Run, observed: Observed) -> None:
    result = run("import time; time.sleep(1000)", deadline_s=0.001)
    assert result.verdict in (Verdict.HANG, Verdict.SLOW)  # it may not be asleep yet
    assert observed(result).end == Stopped(reason="deadline")


@pytest.mark.parametrize(
    ("statement", "lasts_s"),
    [
        ("import threading\ntimer = threading.Timer(0.8, print)\ntimer.start()\ntimer.join()", 0.8),
        ("import subprocess\nsubprocess.run(['sleep', '0.8'], check=True)", 0.8),
        ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.8)\n"
         "signal.signal(signal.SIGALRM, lambda *a: None)\nsignal.pause()", 0.8),
    ],
)  # fmt: skip
def test_one_that_waits_and_goes_on_is_ok(
    make_cell: Callable[..., Cell], tmp_path: Path, statement: str, lasts_s: float
) -> None:
    """Also for a watchdog that looks ten times as often."""
    with Workspace(tmp_path, tmp_path / "scratch", Rates().times(10)) as workspace:
        result = run_cell(make_cell(statement), workspace)
    assert result.verdict is Verdict.OK, result.why
    assert isinstance(result.observation, Known)
    assert result.observation.value.end == Exited(status=0)
    assert result.observation.value.duration_s >= lasts_s


def test_a_stopped_probe_is_no_deadlock(run: Run, observed: Observed) -> None:
    statement = """
import os, signal, threading
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lambda: (os.kill(os.getpid(), signal.SIGSTOP))).start()
lock.acquire()
"""
    # Which of the two the stop catches is up to the scheduler: once continued, it is a deadlock.
    result = run(statement, deadline_s=1.5)
    assert result.verdict is Verdict.HANG
    assert "stopped by SIGSTOP" in result.why or "stopped by a signal" in result.why
    assert observed(result).leftovers.alive == ()


def test_a_deadlock_beside_a_main_thread_that_works(run: Run) -> None:
    statement = """
import threading, time
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lock.acquire, daemon=True).start()
time.sleep(0.8)
"""
    assert run(statement).verdict is Verdict.OK


def test_workers_side_by_side(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    """Each worker's workspace is its own: what one ends is not the other's."""
    results: dict[int, CellResult] = {}
    statements = [
        "import time; time.sleep(1.0)",
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "raise ValueError",
    ]

    def work(number: int) -> None:
        with Workspace(tmp_path / "cache", tmp_path / str(number)) as workspace:
            results[number] = run_cell(make_cell(statements[number]), workspace)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [results[n].verdict for n in range(3)]
    assert found == [Verdict.OK, Verdict.DEADLOCK, Verdict.ERROR]
