"""``pytest --prove-hangs``: real sessions, real hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no proof"),
    pytest.mark.timeout(300),
]

SUITE = Path(__file__).parents[2] / "repro" / "hanging_suite"
TOKEN = "WANTED_TOKEN"
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
        assert f"::{name}, " in done.stderr
    assert done.returncode in (35, 36, 124), done.stderr


def test_a_session_without_a_hang_is_as_without_the_option(session: Session) -> None:
    code = "def test_a(): pass\ndef test_b(): assert 0\n"
    plain = session("-q", test_it=code)
    watched = session("-q", "--prove-hangs", test_it=code)

    assert watched.returncode == plain.returncode == 1
    assert watched.stdout.rpartition(" in ")[0] == plain.stdout.rpartition(" in ")[0]
    assert watched.stderr == ""


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


def test_exitfirst_ends_the_run_at_a_hang(session: Session, tmp_path: Path) -> None:
    code = "import threading\ndef test_a(): threading.Event().wait()\ndef test_b(): pass\n"
    done = session("-x", *AFTER, test_it=code)
    assert results(tmp_path) == {"test_a": "failure"}
    assert "1 test has not been run" in done.stdout


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


def test_a_killed_watcher_leaves_no_session_behind(
    tmp_path: Path, token: str, alive: Callable[[], dict[int, str]], until: Callable[..., None]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pathlib, threading\n"
        "def test_it():\n    pathlib.Path('began').touch()\n    threading.Event().wait()\n"
    )
    command = [sys.executable, "-m", "pytest", "--prove-hangs", "--prove-hangs-after=0"]
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        command, cwd=tmp_path, env={**_plain(), TOKEN: token}, start_new_session=True, **options
    ) as watcher:
        until((tmp_path / "began").exists)
        watcher.send_signal(signal.SIGKILL)
    until(lambda: not alive())
