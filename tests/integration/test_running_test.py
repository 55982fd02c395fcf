"""The test that hangs is named by what its runner's frames hold: pytest, unittest, doctest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pythons import VERSIONS, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.stack_facts import RunningTest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads process memory"),
    pytest.mark.timeout(120),
]

TOOL = (sys.executable, "-m", "deadlock_matrix")
Launch = Callable[..., "subprocess.Popen[bytes]"]

# Hangs in the place that its argument names; a doctest and pytest capture what is printed.
SUITE = '''
import os, threading, unittest

WHERE = os.environ["WHERE"]

def hang(where):
    """
    >>> hang("doctest")
    """
    if where == WHERE:
        os.write(int(os.environ["READY"]), b"ready")
        threading.Event().wait()

def setUpModule():
    hang("module setup")

class TestStore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        hang("class setup")

    @classmethod
    def tearDownClass(cls):
        hang("class teardown")

    def setUp(self):
        self.addCleanup(hang, "cleanup")
        hang("setup")

    def tearDown(self):
        hang("teardown")

    def test_it(self):
        hang("call")

class TestLoop(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        hang("coroutine")

if __name__ == "__main__":
    if WHERE == "doctest":
        import doctest
        doctest.testmod()
    unittest.main()
'''
OF_UNITTEST = {
    "module setup": ("in the setup of module", "__main__"),
    "class setup": ("in the setup of class", "__main__.TestStore"),
    "setup": ("in the setup of", "__main__.TestStore.test_it"),
    "call": ("in the call of", "__main__.TestStore.test_it"),
    "coroutine": ("in the call of", "__main__.TestLoop.test_it"),
    "teardown": ("in the teardown of", "__main__.TestStore.test_it"),
    "cleanup": ("in the cleanup of", "__main__.TestStore.test_it"),
    "class teardown": ("in the teardown of class", "__main__.TestStore"),
}


@pytest.fixture
def hung(launch: Launch, tmp_path: Path) -> Callable[..., Known[RunningTest] | Unknown]:
    """Start the suite, wait until it is about to hang, and read which test it is in."""

    def run(where: str, *command: str) -> Known[RunningTest] | Unknown:
        (tmp_path / "test_store.py").write_text(SUITE)
        ready, write = os.pipe()
        plain = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST")}
        process = launch(
            *command,
            cwd=tmp_path,
            env={**plain, "WHERE": where, "READY": str(write)},
            pass_fds=(write,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read(5) == b"ready"
        (main,) = (
            e for e in python_stacks.read_stacks(process.pid).threads if e.tid == process.pid
        )
        return main.test

    return run


Hung = Callable[..., "Known[RunningTest] | Unknown"]


def told(fact: Known[RunningTest] | Unknown) -> tuple[str, str, str]:
    assert isinstance(fact, Known), fact
    return fact.value.runner, fact.value.doing, fact.value.test


@pytest.mark.parametrize("version", VERSIONS)
def test_unittest_and_doctest(hung: Hung, version: str) -> None:
    python = interpreter(version)
    for where, expected in OF_UNITTEST.items():
        assert told(hung(where, python, "test_store.py")) == ("unittest", *expected)
    expected = ("doctest", "running", "__main__.hang")
    assert told(hung("doctest", python, "test_store.py")) == expected


@pytest.mark.parametrize(
    ("where", "options", "expected"),
    [
        ("call", (), ("in the call of", "test_store.py::TestStore::test_it")),
        ("class setup", (), ("in the setup of", "test_store.py::TestStore::test_it")),
        ("doctest", ("--doctest-modules",), ("in the call of", "test_store.py::test_store.hang")),
    ],
)
def test_pytest(hung: Hung, where: str, options: tuple[str, ...], expected: object) -> None:
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *options)
    assert told(hung(where, *command, "test_store.py")) == ("pytest", *expected)  # type: ignore[misc]


def test_watch_names_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_store.py").write_text(
        "import threading\n"
        "import pytest\n"
        "@pytest.mark.parametrize('of', ['a/b', 'ü [x]::y'])\n"
        "def test_it(of):\n"
        "    if of != 'a/b':\n"
        "        threading.Lock().acquire() and threading.Event().wait()\n"
    )
    done = subprocess.run(
        [*TOOL, "watch", "--likely", "--", sys.executable, "-m", "pytest", "--rootdir=."],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (35, 36), done.stderr
    title, test, *_ = done.stderr.splitlines()
    assert "test_it (test_store.py:6)" in title
    assert test == r"  in the call of test_store.py::test_it[\xfc [x]::y] (pytest)"
