"""``pytest --prove-hangs``: real sessions, real hangs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from deadlock_matrix.capture.collector import open_collector
from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.explanation import describe
from deadlock_matrix.pytest_plugin.guard.hang import Hang
from deadlock_matrix.pytest_plugin.guard.unread import Unread
from deadlock_matrix.pytest_plugin.guard.watcher import Watcher

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no proof"),
    pytest.mark.timeout(300),
]

SUITE = Path(__file__).parents[2] / "repro" / "hanging_suite"
TOKEN = "WANTED_TOKEN"
# The schema of Jenkins' xUnit plugin, which pytest's own tests use too.
JUNIT = etree.XMLSchema(etree.parse(str(Path(__file__).parents[1] / "schemas" / "junit-10.xsd")))
AFTER = ("--prove-hangs", "--prove-hangs-after", "2")
HANGS = {
    "test_two_threads_join_each_other",
    "test_crossed_locks",
    "test_queue_that_nobody_feeds",
    "test_future_that_nobody_sets",
    "test_forked_child_needs_a_lock_that_a_thread_held",
    "test_setup_hangs",
    "test_teardown_hangs",
    "test_mutex_against_the_gil",
}

Session = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def session(tmp_path: Path, token: str, alive: Callable[[], dict[int, str]]) -> Session:
    """Run pytest on a file or a folder; afterwards nothing may be left of it."""

    def run(*arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
        for name, code in files.items():
            (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--rootdir={tmp_path}", "--junitxml=junit.xml", *arguments],
            cwd=tmp_path,
            env={**_plain(), TOKEN: token},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            start_new_session=True,
        )
        assert not alive()
        if (tmp_path / "junit.xml").exists():
            JUNIT.assertValid(etree.parse(str(tmp_path / "junit.xml")))
        return done

    return run


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


def results(folder: Path) -> dict[str, str]:
    """Each test of ``junit.xml`` by name: passed, failure or error."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):
        tags = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[case.attrib["name"]] = tags[0] if tags else found.get(case.attrib["name"], "passed")
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "loadfile")])
def test_every_hang_of_a_suite_is_named_and_all_other_results_are_there(
    session: Session, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    done = session(*AFTER, *workers, str(SUITE))

    found = results(tmp_path)
    bad = {name for name, result in found.items() if result in ("failure", "error")}
    expected = HANGS | {"test_fails", "test_last[4]"}
    # What xdist hears of a crashed worker is the name of the test, in the place of its file.
    whole = {name.rpartition("::")[2] for name in bad}
    assert whole >= expected - {"test_last[4]"}, done.stdout
    passed = {name for name, result in found.items() if result == "passed"}
    assert {"test_before", "test_after", "test_more", "test_between[6]"} <= passed
    for name in HANGS:
        assert f"::{name} (pytest process " in done.stderr
    assert done.returncode in (35, 36, 124), done.stderr


def test_a_session_without_a_hang_is_as_without_the_option(session: Session) -> None:
    code = """
import sys
def test_a(): pass
def test_b(): assert 0
def test_what_reads_processes_is_not_loaded(): assert "deadlock_matrix.capture" not in sys.modules
"""
    plain = session("-q", test_it=code)
    watched = session("-q", "--prove-hangs", test_it=code)

    assert watched.returncode == plain.returncode == 1
    assert watched.stdout.rpartition(" in ")[0] == plain.stdout.rpartition(" in ")[0]
    assert watched.stderr == ""


def test_what_pytest_keeps_is_collected_at_exit(session: Session, tmp_path: Path) -> None:
    conftest = """
import os
class Ends:
    def __del__(self, write=os.write, file=os.open("ended", os.O_WRONLY | os.O_CREAT)):
        write(file, b"ended")
def pytest_configure(config):
    config.ends = Ends()
    config.itself = config
"""
    done = session("-q", "--prove-hangs", conftest=conftest, test_it="def test_it(): pass\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ended").read_bytes() == b"ended"


def test_a_likely_deadlock_is_told_and_then_ended(session: Session, tmp_path: Path) -> None:
    code = """
import threading
def test_it():
    main = threading.current_thread()
    other = threading.Thread(target=main.join)
    other.start()
    other.join()
"""
    done = session(*AFTER, test_it=code)

    assert done.returncode in (35, 36), done.stderr
    assert "test_it.py::test_it" in done.stderr
    assert "joins thread" in done.stdout
    assert results(tmp_path) == {"test_it": "failure"}
    (evidence,) = (tmp_path / "prove-hangs").iterdir()
    assert evidence.stat().st_size > 1000


CROSSED = """
import threading
def test_it():
    first, second = threading.Lock(), threading.Lock()
    has_first, has_second = threading.Event(), threading.Event()
    def other():
        with second:
            has_second.set()
            has_first.wait()
            with first: pass
    threading.Thread(target=other, daemon=True).start()
    with first:
        has_first.set()
        has_second.wait()
        with second: pass
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_summaries_begin_with_what_is_stuck(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = session("-vv", *AFTER, *workers, test_it=CROSSED)  # -vv: as in a CI job, nothing is cut

    headline = (
        "likely deadlock: main thread waits for second (test_it.py:15), held by thread "
        "'Thread-1 (other)', which waits for first (test_it.py:10), held by main thread"
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("FAILED")] == [
        f"FAILED test_it.py::test_it - {headline}"
    ]
    assert lines.count(headline) == 1 and "in the call of test_it.py::test_it (" in done.stdout
    assert f"prove-hangs: {headline}\n" in done.stderr
    (failure,) = ElementTree.parse(tmp_path / "junit.xml").iter("failure")
    assert failure.attrib["message"] == headline
    assert (failure.text or "").count(headline) == 1 and "evidence: " in (failure.text or "")
    answer, _, folded = (tmp_path / "summary.md").read_text().partition("<details>")
    assert headline in answer and "in the call of test_it.py::test_it" in answer
    assert len(answer.splitlines()) < 10 and "evidence: " in folded


def test_a_hang_in_a_worker_is_told_before_its_time(session: Session, tmp_path: Path) -> None:
    """A thread of every worker listens to the controller, so a worker never waits as a whole."""
    event = "import threading\ndef test_event(): threading.Event().wait()\n"
    future = """
import asyncio
async def wait():
    await asyncio.get_running_loop().create_future()
def test_future():
    asyncio.run(wait())
"""
    native = (SUITE / "test_native.py").read_text()
    done = session(
        *("--prove-hangs", "--prove-hangs-after=15", "-n3", "--dist=loadfile"),
        test_e=event,
        test_f=future,
        test_n=native,
    )
    for name in ("test_event", "test_future", "test_mutex_against_the_gil"):
        told = rf"::{name} \(pytest process \d+\): it will be ended unless it moves within 15 s"
        assert re.search(told, done.stderr)
    assert done.returncode == 36, done.stderr


def test_waits_in_a_worker_that_end_are_not_told(session: Session) -> None:
    timer = """
import threading
def test_timer():
    event = threading.Event()
    threading.Timer(3, event.set).start()
    event.wait()
def test_object_that_a_module_has(opened=threading.Event()):
    threading.Timer(2, lambda: test_object_that_a_module_has.__defaults__[0].set()).start()
    opened.wait()
"""
    server = """
import multiprocessing, os, threading, time
def serve(ready):
    def answer():
        while True:
            time.sleep(0.5)
    threading.Thread(target=answer, daemon=True).start()
    ready.set()
    threading.Event().wait()  # until it is ended
def test_server_that_waits_on_purpose():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=serve, args=[ready])
    process.start()
    assert ready.wait(60)
    time.sleep(3)
    process.terminate()
    process.join()
"""
    done = session("--prove-hangs", "-n2", "--dist=loadfile", test_t=timer, test_s=server)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


def test_a_test_that_works_beside_its_main_thread_outlives_the_limit(session: Session) -> None:
    code = """
import subprocess, sys, threading, time
WORK = "import time\\nend = time.monotonic() + 6\\nwhile time.monotonic() < end: pass"
def test_another_thread_computes():
    thread = threading.Thread(target=exec, args=[WORK])
    thread.start()
    thread.join()
def test_a_child_computes():
    subprocess.run([sys.executable, "-c", WORK], check=True)
"""
    done = session(*AFTER, test_work=code)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_main_thread_that_waits_for_the_gil_alone_is_told_once_and_ended(
    session: Session, tmp_path: Path
) -> None:
    """It wakes every 5 ms, and sleeps nowhere else before that."""
    code = """
import ctypes, threading
def test_the_gil_against_a_mutex():
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    threading.Thread(target=lambda: library.pthread_mutex_lock(mutex), daemon=True).start()
    while True:
        pass
def test_next(): pass
"""
    done = session(*AFTER, test_gil=code)

    assert done.returncode == 36, done.stdout + done.stderr
    assert done.stderr.count(": it will be ended unless it moves within 2 s") == 1
    assert "in the call of test_gil.py::test_the_gil_against_a_mutex (" in done.stderr
    assert "holds the GIL and waits for mutex" in done.stdout
    assert results(tmp_path) == {"test_the_gil_against_a_mutex": "failure", "test_next": "passed"}


def test_a_thread_that_keeps_the_gil_for_itself_is_ended_though_nothing_is_proved(
    session: Session, tmp_path: Path
) -> None:
    """It waits for a semaphore, which a thread may post that waits for a connection."""
    code = """
import ctypes, socket, threading
def test_the_gil_against_a_semaphore():
    library, semaphore = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.sem_init(semaphore, 0, 0)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.accept, daemon=True).start()
    thread = threading.Thread(target=lambda: library.sem_wait(semaphore), daemon=True)
    thread.start()
    thread.join()
def test_next(): pass
"""
    done = session(*AFTER, test_gil=code)

    assert done.returncode == 124, done.stdout + done.stderr
    assert "prove-hangs: hang: nothing has moved for " in done.stderr
    assert "in the call of test_gil.py::test_the_gil_against_a_semaphore (" in done.stderr
    assert results(tmp_path) == {
        "test_the_gil_against_a_semaphore": "failure",
        "test_next": "passed",
    }


def test_many_threads_that_ask_for_the_gil_are_not_taken_for_work(
    session: Session, tmp_path: Path
) -> None:
    """Together they use more of the processor than one thread does that works a little."""
    code = """
import ctypes, threading
def loop():
    while True: pass
def test_the_gil_against_a_signal():
    library = ctypes.PyDLL(None)
    for _ in range(40):
        threading.Thread(target=loop, daemon=True).start()
    library.pause()
def test_next(): pass
"""
    done = session(*AFTER, test_gil=code)

    assert done.returncode == 124, done.stdout + done.stderr
    assert "prove-hangs: hang: nothing has moved for " in done.stderr
    assert "in the call of test_gil.py::test_the_gil_against_a_signal (" in done.stderr
    assert results(tmp_path) == {"test_the_gil_against_a_signal": "failure", "test_next": "passed"}


def test_threads_that_an_earlier_test_left_stuck_are_not_told(session: Session) -> None:
    code = """
import threading, time
def join(started, others):
    started.wait()
    others[0].join()
def test_leaves_them_behind():
    started, first, second = threading.Event(), [], []
    first.append(threading.Thread(target=join, args=[started, second], daemon=True))
    second.append(threading.Thread(target=join, args=[started, first], daemon=True))
    first[0].start(), second[0].start()
    started.set()
def test_goes_on():
    time.sleep(4)
"""
    for workers in ((), ("-n1",)):
        done = session("--prove-hangs", *workers, test_it=code)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


def test_a_hang_at_collection_is_named(session: Session, tmp_path: Path) -> None:
    done = session(
        *AFTER,
        test_good="def test_good(): pass\n",
        test_hangs="import threading\nthreading.Event().wait()\n",
    )
    assert "collecting test_hangs.py" in done.stderr
    assert "failure" in results(tmp_path).values()


def test_a_hang_at_exit_is_named_and_costs_no_result(session: Session, tmp_path: Path) -> None:
    code = """
import threading
def test_it():
    threading.Thread(target=threading.Event().wait).start()
"""
    done = session(*AFTER, test_it=code)
    assert "at exit, after pytest had finished" in done.stderr
    assert results(tmp_path)["test_it"] == "passed"
    assert "[200%]" not in done.stdout


def test_a_hanging_conftest_with_options_of_its_own(session: Session, tmp_path: Path) -> None:
    conftest = """
def pytest_addoption(parser):
    parser.addoption("--of-the-project")
import threading
threading.Event().wait()
"""
    done = session(*AFTER, "--of-the-project=1", conftest=conftest, test_it="def test_it(): pass")
    assert "loading plugins and conftest files" in done.stderr
    assert "failure" in results(tmp_path).values()


def test_a_hang_is_named_whatever_order_tests_run_in(session: Session, tmp_path: Path) -> None:
    conftest = """
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    for item in session.items[::-1]:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True
"""
    code = """
import threading
def test_a(): pass
def test_b(): assert 0
def test_c(): threading.Event().wait()
def test_d(): pass
def test_e(): pass
"""
    done = session(*AFTER, conftest=conftest, test_it=code)
    assert "in the call of test_it.py::test_c (" in done.stderr
    assert results(tmp_path) == {
        "test_a": "passed", "test_b": "failure", "test_c": "failure",
        "test_d": "passed", "test_e": "passed",
    }  # fmt: skip


def test_exitfirst_ends_the_run_at_a_hang(session: Session, tmp_path: Path) -> None:
    code = "import threading\ndef test_a(): threading.Event().wait()\ndef test_b(): pass\n"
    done = session("-x", *AFTER, test_it=code)
    assert results(tmp_path) == {"test_a": "failure"}
    assert "1 test was not run" in done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_tests_that_need_a_fixture_that_hung_fail_at_once(
    session: Session, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    code = """
import threading
import pytest
@pytest.fixture(scope="session")
def server():
    threading.Event().wait()
@pytest.mark.parametrize("number", range(8))
def test_it(server, number): pass
def test_without(): pass
"""
    done = session(*AFTER, *workers, test_it=code)
    found = results(tmp_path)
    assert found.pop("test_without") == "passed"
    assert len(found) == 8 and set(found.values()) <= {"failure", "error"}
    assert done.stderr.count("prove-hangs: likely deadlock: ") <= 4
    assert "fixture 'server' is not set up again, since it hung in the setup of" in done.stdout


def test_a_second_hang_in_the_place_of_the_same_worker(session: Session, tmp_path: Path) -> None:
    code = """
import threading
def test_first(): threading.Event().wait()
def test_second(): threading.Event().wait()
def test_last(): pass
"""
    session(*AFTER, "-n1", "--dist=each", test_it=code)

    assert results(tmp_path) == {
        "test_first": "failure",
        "test_second": "failure",
        "test_last": "passed",
    }


def test_hangs_are_not_among_the_crashes_after_which_xdist_gives_up(
    session: Session, tmp_path: Path
) -> None:
    code = """
import threading, pytest
@pytest.mark.parametrize("number", range(5))
def test_hangs(number): threading.Event().wait()
def test_last(): pass
"""
    done = session(*AFTER, "-n1", test_it=code)

    hung = {f"test_hangs[{number}]": "failure" for number in range(5)}
    assert results(tmp_path) == {**hung, "test_last": "passed"}, done.stdout
    assert "maximum crashed workers" not in done.stdout


def test_a_process_that_could_not_be_read_in_time_is_not_forgotten(
    launch: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    code = "import os, threading; os.write(1, b'ready'); threading.Event().wait()"
    process = launch(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.read(5) == b"ready"
    (tmp_path / f"{process.pid}{journal.SUFFIX}").touch()  # it has not said yet what it does
    watcher = Watcher(process.pid, tmp_path, after_s=None)
    hangs: list[Hang] = []
    collector = watcher._collector = open_collector()
    try:
        collector.hurry(0.0)  # there is no time for any look
        tried: list[float] = []
        while not tried:
            tried = [each.next_try_s for each in watcher._processes.values() if each.next_try_s]
            watcher._look_at_all(hangs.append, lambda hang, is_due: hangs.append(hang))
        assert not hangs
        collector.hurry(None)
        while not hangs:
            watcher._look_at_all(hangs.append, lambda hang, is_due: hangs.append(hang))
    finally:
        process.kill()
        process.wait(60)
        collector.close()
    assert hangs[0].pid == process.pid


def test_a_process_that_can_never_be_read_is_ended_at_its_limit(
    launch: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    code = "import os, threading; os.write(1, b'ready'); threading.Event().wait()"
    process = launch(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.read(5) == b"ready"
    (tmp_path / f"{process.pid}{journal.SUFFIX}").touch()
    watcher = Watcher(process.pid, tmp_path, after_s=0.5)
    collector = watcher._collector = open_collector()
    hangs: list[Hang] = []
    try:
        collector.hurry(0.0)
        while not hangs:
            watcher._look_at_all(hangs.append, lambda hang, is_due: None)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        collector.close()
    (hang,) = hangs
    assert hang.seen is None and hang.strength == "limit" and hang.asleep_s >= 0.5
    text = describe(hang, tmp_path)
    assert text.startswith("hang: nothing has moved for ") and hang.unread.rstrip(".") in text


WORK_BESIDE = """
import os, threading
def work():
    while True: pass
threading.Thread(target=work, daemon=True).start()
os.write(1, b'ready')
threading.Event().wait()
"""
WORK_BELOW = """
import os
if os.fork() == 0:
    os.write(1, b'ready')
    while True: pass
os.wait()
"""


@pytest.mark.parametrize("code", [WORK_BESIDE, WORK_BELOW])
def test_work_in_a_process_that_cannot_be_read_is_seen(
    launch: Callable[..., subprocess.Popen[bytes]], until: Callable[..., None], code: str
) -> None:
    process = launch(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.read(5) == b"ready"
    unread = Unread(process.pid)
    unread.note()
    until(lambda: unread.note() > 0)  # two looks in which nobody got a processor
    until(lambda: unread.note() == 0)


DROPS = """
import ctypes
library = ctypes.CDLL(None)
library.prctl(24, 19)  # PR_CAPBSET_DROP, CAP_SYS_PTRACE: not to have it again after an exec
head, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert not library.capget(head, sets)
for number in range(3):
    sets[number] &= ~(1 << 19)
assert not library.capset(head, sets)
"""


def test_a_process_that_may_not_be_read_is_ended_if_nothing_works_in_it(
    session: Session, tmp_path: Path
) -> None:
    code = """
import ctypes, subprocess, sys, threading
WORK = "import time\\nend = time.monotonic() + 5\\nwhile time.monotonic() < end: pass"
def test_works():
    ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: nobody may read its memory
    thread = threading.Thread(target=exec, args=[WORK])
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", WORK], check=True)
def test_hangs():
    ctypes.CDLL(None).prctl(4, 0)
    threading.Event().wait()
def test_next(): pass
"""
    done = session("-p", "drops", *AFTER, drops=DROPS, test_it=code)

    assert done.returncode == 124, done.stdout + done.stderr
    assert results(tmp_path) == {
        "test_works": "passed", "test_hangs": "failure", "test_next": "passed"
    }  # fmt: skip
    assert re.search(r"hang: nothing has moved for \d+ s: .* cannot be inspected: ", done.stderr)


def test_a_test_that_waits_for_a_person_in_pdb_is_left_alone(
    launch: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): breakpoint()", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    process = launch(
        *command, "--prove-hangs", "--prove-hangs-after=1", str(tmp_path / "test_it.py"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_plain(),
    )  # fmt: skip
    assert process.stdout is not None
    said = b""
    while not said.endswith(b"(Pdb) "):
        said += process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(8)
    said, complained = process.communicate(b"continue\n", timeout=120)
    assert process.returncode == 0 and not complained, said + complained
    assert b"1 passed" in said


@pytest.mark.parametrize("who", ["worker", "controller"])
def test_a_hang_at_the_end_of_a_session_with_workers(
    session: Session, tmp_path: Path, who: str
) -> None:
    conftest = f"""
import threading
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput") == {who == "worker"}:
        threading.Event().wait()
"""
    done = session(*AFTER, "-n", "2", conftest=conftest, test_it="def test_it(): pass\n")
    assert "at the end of the session" in done.stderr
    assert done.returncode in (35, 36, 124)
    # Told of the worker's last test, or of none: both workers hang, and one has run nothing.
    assert " 1 passed" in done.stdout and "failure" in results(tmp_path).values()


@pytest.mark.parametrize("dist", ["load", "each"])
@pytest.mark.parametrize("journals", ["with journals", "without journals"])
def test_results_of_workers_are_replayed_once(
    session: Session, tmp_path: Path, journals: str, dist: str
) -> None:
    """A worker on another machine, or without this package, writes no journal."""
    conftest = f"""
import threading, pytest
@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_configure_node(node):
    if {journals == "without journals"}:
        node.workerinput.pop("deadlock_matrix_guard")
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        threading.Event().wait()
"""
    code = """
import os, pytest
@pytest.mark.parametrize("number", range(9))
def test_passes(number): pass
def test_fails(): print("said"); assert 0
@pytest.mark.skip(reason="not today")
def test_skipped(): pass
@pytest.mark.xfail
def test_unexpected(): pass
@pytest.fixture
def broken():
    yield
    raise OSError("broken")
def test_teardown(broken): pass
def test_crashes():
    if os.environ["PYTEST_XDIST_WORKER"] == "gw0":
        os.kill(os.getpid(), 9)
"""
    workers = ("-n2", f"--dist={dist}")
    done = session("-rA", *AFTER, *workers, conftest=conftest, test_it=code)
    counted = re.findall(r"(\d+) (passed|failed|skipped|xpassed|error)s?\b", done.stdout)
    numbers = {what: int(number) for number, what in counted}
    times = 2 if dist == "each" else 1
    crashed = numbers["failed"] - 1 - times  # the hang, and as often as the test fails
    assert crashed in ((1,) if dist == "each" else (0, 1)), done.stdout
    passed = 10 * times + (times - crashed)
    assert numbers == {
        "passed": passed, "failed": 1 + times + crashed,
        "skipped": times, "xpassed": times, "error": times,
    }  # fmt: skip
    assert "said" in done.stdout and "broken" in done.stdout and "not run" not in done.stdout


def test_what_a_closed_descriptor_has_become_is_not_written_to(
    session: Session, tmp_path: Path
) -> None:
    code = """
import os
files = []
def test_close():
    for number in range(3, 200):
        if os.path.exists(f"/proc/self/fd/{number}"):
            if os.readlink(f"/proc/self/fd/{number}").endswith(".journal"):
                os.close(number)
                files.append(open("mine", "wb"))
                os.dup2(files[0].fileno(), number)
def test_after(): pass
def test_mine():
    assert os.path.getsize("mine") == 0 and len(files) == 1
"""
    done = session("--prove-hangs", test_it=code)
    assert done.returncode == 0, done.stdout
    assert set(results(tmp_path).values()) == {"passed"}


def test_results_of_every_kind_are_replayed(session: Session, tmp_path: Path) -> None:
    code = """
import logging, threading, unittest
import pytest
def test_logs(): logging.warning("said")
@pytest.mark.skip(reason="not today")
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert 0
@pytest.mark.xfail(strict=True)
def test_unexpected(): pass
@pytest.mark.xfail
def test_unexpected_but_allowed(): pass
@pytest.mark.parametrize("of", ["\\x01\\x1b[31m", "ü/::☃", "<&>", "x" * 600])
def test_odd(of): assert of != "<&>", "\\x01"
class TestCase(unittest.TestCase):
    def test_case(self):
        for number in range(3):
            with self.subTest(number=number):
                assert number != 1
    def test_good_case(self):
        for number in range(3):
            with self.subTest(number=number): pass
def test_hangs(): threading.Event().wait()
def test_last(): pass
"""
    done = session("-rA", "--maxfail=0", *AFTER, test_it=code)
    assert "INTERNALERROR" not in done.stdout + done.stderr
    found = results(tmp_path)
    names = ("test_skipped", "test_expected", "test_unexpected", "test_odd[<&>]", "test_hangs")
    assert [found.pop(name) for name in names] == ["skipped"] * 2 + ["failure"] * 3
    assert found.pop("test_case") == "failure"
    assert set(found.values()) == {"passed"} and len(found) == 7
    assert "not today" in done.stdout and " 1 xpassed" in done.stdout


def test_a_test_that_takes_long_is_left_alone(session: Session) -> None:
    code = """
import time
def test_works():
    end = time.monotonic() + 4
    while time.monotonic() < end:
        time.sleep(0.5)
"""
    done = session("--prove-hangs", "--prove-hangs-after", "2", test_it=code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
@pytest.mark.parametrize("killed", ["watcher", "session"])
def test_who_is_killed_leaves_no_process_and_no_folder(
    tmp_path: Path,
    token: str,
    alive: Callable[[], dict[int, str]],
    until: Callable[..., None],
    killed: str,
    workers: tuple[str, ...],
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = """
import os, pathlib, signal, threading
def test_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # with which execnet ends a worker that works
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    pathlib.Path("began").write_text(str(session))
    os.rename("began", "session")
    threading.Event().wait()
"""
    (tmp_path / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "--prove-hangs", "--prove-hangs-after=0", *workers]
    environment = {**_plain(), TOKEN: token, "TMPDIR": str(temporary)}
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, **options
    ) as watcher:
        until((tmp_path / "session").exists)
        assert any(temporary.glob("prove-hangs-*"))
        session = int((tmp_path / "session").read_text())
        os.kill(watcher.pid if killed == "watcher" else session, signal.SIGKILL)
        until(lambda: not alive(), 8)
        until(lambda: not any(temporary.glob("prove-hangs-*")), 8)
    assert watcher.returncode == (-signal.SIGKILL if killed == "watcher" else 128 + signal.SIGKILL)


def test_a_forked_child_that_goes_on_as_pytest_writes_no_results(
    session: Session, tmp_path: Path
) -> None:
    code = """
import os, threading
def test_forks():
    pid = os.fork()
    assert pid == 0 or os.waitpid(pid, 0)[1] != 0
def test_in_the_child(parent=os.getpid()):
    if os.getpid() != parent:
        os._exit(3)
def test_hangs(): threading.Event().wait()
def test_last(): pass
"""
    done = session(*AFTER, test_it=code)
    assert done.returncode == 36, done.stdout + done.stderr
    names = ("test_forks", "test_in_the_child", "test_last")
    assert results(tmp_path) == {**dict.fromkeys(names, "passed"), "test_hangs": "failure"}
