"""Modules imported alone in real processes: good ones, and such as hang, crash, shout or breed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deadlock_matrix.interpreters.native.running import did_not_end, run_modules
from deadlock_matrix.interpreters.question import TimedOut
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, sessions and forks")

LIMIT_S = 60.0
SHORT_S = 3.0  # of one that hangs: it must have begun to until then
GOOD = """
__version__ = "9.9"
class Matrix:
    def __matmul__(self, other): return self
    def __getitem__(self, place): return 512
def ones(shape): return Matrix()
def show_config(mode): return {"blas": "none"}
"""

Write = Callable[..., Interpreter]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("env")
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True, timeout=300)
    return folder


@pytest.fixture
def write(environment: Path) -> Write:
    """Writes the module, as it is to be this time, and gives the interpreter that has it."""
    (site,) = environment.glob("lib/python*/site-packages")

    def write(text: str, module: str = "numpy") -> Interpreter:
        (site / module).mkdir(exist_ok=True)
        (site / module / "__init__.py").write_text(textwrap.dedent(text))
        return Interpreter(name="x", executable=str(environment / "bin" / "python"))

    return write


def run(interpreter: Interpreter, limit_s: float = LIMIT_S) -> Known[Running] | Unknown:
    return run_modules(interpreter, ["numpy"], limit_s)["numpy"]


def value(found: Known[Running] | Unknown) -> Running:
    assert isinstance(found, Known), found
    return found.value


def reason(found: object) -> str:
    assert isinstance(found, Unknown), found
    return found.reason


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="needs numpy")
def test_the_real_numpy() -> None:
    shown = value(run(Interpreter(name="x", executable=sys.executable)))
    assert shown.module == "numpy"
    assert shown.version
    assert shown.seconds > 0
    assert isinstance(shown.configuration, Known)
    assert "blas" in shown.configuration.value.lower()
    assert isinstance(shown.pools, Known) and isinstance(shown.mapped, Known)
    for pool in shown.pools.value:
        assert pool.threads >= 1
        assert os.path.realpath(pool.path) == pool.path
        assert pool.path in shown.mapped.value
    assert list(shown.mapped.value) == sorted(map(os.path.realpath, shown.mapped.value))


def test_what_it_says_of_itself(write: Write) -> None:
    shown = value(run(write(GOOD)))
    assert shown.version == "9.9"
    assert shown.configuration == Known(value='{\n  "blas": "none"\n}', source="numpy of itself")
    assert isinstance(shown.pools, Known)
    assert shown.pools.value == ()


def test_its_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = write(
        GOOD
        + """
import importlib.util, os, sys
names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH", "KEPT", "GIVEN")
found = [os.environ.get(name, "-") for name in names]
__version__ = " ".join([
    *found, str(len(sys.argv)), str(importlib.util.find_spec("remembered")), str(os.listdir())])
"""
    )
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH", "KEPT"):
        monkeypatch.setenv(name, "1")
    given = Interpreter(
        name="x",
        executable=interpreter.executable,
        set={"GIVEN": "yes", "MKL_NUM_THREADS": "3"},
    )
    assert value(run(given)).version == "- 3 - 1 yes 1 None []"


def test_it_imports_nothing_before(write: Write) -> None:
    text = """
import sys
__version__ = str(sorted({"json", "ctypes", "threading", "importlib.util"} & set(sys.modules)))
"""
    interpreter = write(GOOD + text)
    bare = subprocess.run(
        [interpreter.executable, "-c", text + "print(__version__)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    assert value(run(interpreter)).version == bare.stdout.strip()


def test_it_changes_no_file(write: Write, environment: Path) -> None:
    interpreter = write(GOOD)
    before = sorted(environment.rglob("*"))
    value(run(interpreter))
    assert sorted(environment.rglob("*")) == before


def test_an_import_that_hangs(write: Write) -> None:
    interpreter = write("import threading; threading.Event().wait()")
    begin = time.monotonic()
    found = run(interpreter, SHORT_S)
    assert time.monotonic() - begin < SHORT_S + 15
    assert isinstance(found, TimedOut)
    assert found.reason == "import numpy did not end within 3 s"


def test_a_product_that_hangs(write: Write) -> None:
    interpreter = write(GOOD + "def ones(shape):\n    import threading; threading.Event().wait()")
    found = run(interpreter, SHORT_S)
    assert isinstance(found, TimedOut)
    assert found.reason.startswith("numpy 9.9 was imported in ")
    assert found.reason.endswith(", but a product of two matrices with it did not end within 3 s")


def test_a_table_that_hangs_leaves_what_came_before(write: Write) -> None:
    interpreter = write(
        GOOD + "def show_config(mode):\n    import threading; threading.Event().wait()"
    )
    found = run(interpreter, SHORT_S)
    assert did_not_end(found)
    shown = value(found)
    assert shown.version == "9.9"
    assert reason(shown.configuration) == reason(shown.pools)
    assert reason(shown.pools) == "reading it did not end within 3 s"
    if Path("/proc/self/maps").exists():
        assert isinstance(shown.mapped, Known)


def test_one_that_hangs_leaves_time_for_the_others(write: Write) -> None:
    write("import threading; threading.Event().wait()")
    interpreter = write(
        GOOD
        + """
ones = lambda *shape: Matrix()
Matrix.__getitem__ = lambda self, place: self
Matrix.item = lambda self: 512
class __config__:
    show = parallel_info = staticmethod(lambda: "fine")
""",
        "torch",
    )
    begin = time.monotonic()
    found = run_modules(interpreter, ["numpy", "torch"], 2 * SHORT_S)
    assert time.monotonic() - begin < 2 * SHORT_S + 15
    assert list(found) == ["numpy", "torch"]
    assert reason(found["numpy"]) == "import numpy did not end within 3 s"
    assert value(found["torch"]).configuration == Known(
        value="fine\nfine", source="torch of itself"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import os; os.abort()", "import numpy ended the interpreter by SIGABRT"),
        ("import os; os._exit(7)", "import numpy ended the interpreter with status 7"),
        ("import os; os._exit(0)", "import numpy ended the interpreter with status 0"),
        ("import sys; sys.exit(3)", "import numpy raised SystemExit: 3"),
        ("raise KeyboardInterrupt", "import numpy raised KeyboardInterrupt"),
        ("import nothing_such", "No module named 'nothing_such'"),
        (GOOD + "def ones(shape): raise ValueError('no')", "with it raised ValueError: no"),
        (GOOD + "Matrix.__getitem__ = lambda *_: 511", "is 511 rather than 512"),
        (GOOD + "def ones(shape): import os; os.abort()", "with it ended the interpreter by SIG"),
    ],
)
def test_one_that_fails(write: Write, text: str, sentence: str) -> None:
    found = run(write(text))
    assert sentence in reason(found)
    assert not did_not_end(found)


def test_what_it_complained_of_is_kept(write: Write) -> None:
    text = "import os; os.write(2, b'x' * 5000 + b' no such layer'); os._exit(1)"
    found = reason(run(write(text)))
    assert found.endswith("xxx no such layer")
    assert len(found) < 500


def test_a_table_that_raises(write: Write) -> None:
    shown = value(run(write(GOOD + "def show_config(mode): raise ValueError('unknown')")))
    assert reason(shown.configuration) == "ValueError: unknown"
    assert isinstance(shown.pools, Known)


def test_one_that_ends_the_interpreter_at_the_table(write: Write) -> None:
    shown = value(run(write(GOOD + "def show_config(mode): import os; os._exit(4)")))
    assert reason(shown.pools).startswith("the interpreter ended with status 4 before")


def test_one_that_prints_and_closes_everything(write: Write) -> None:
    interpreter = write(
        """
        import os
        for file in (1, 2):
            os.write(file, b'{"phase": "end"}\\n{"failed": "no"}\\n\\xff\\xfe' * 1000)
        print("{")
        os.closerange(0, 256)
        """
        + textwrap.indent(GOOD, " " * 8)
    )
    assert value(run(interpreter)).version == "9.9"


BREEDING = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for file in (0, 1, 2):
            os.close(file)
        with open({pid!r} + ".draft", "w") as file:
            file.write(str(os.getpid()))
        os.rename({pid!r} + ".draft", {pid!r})
        import signal
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists({pid!r}):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["", "import threading; threading.Event().wait()", "os.abort()"])
def test_no_grandchild_outlives_it(write: Write, tmp_path: Path, end: str) -> None:
    file = tmp_path / "pid"
    interpreter = write(BREEDING.format(pid=str(file)) + end + GOOD)
    found = run(interpreter, SHORT_S if "wait()" in end else LIMIT_S)
    assert isinstance(found, Unknown if end else Known)
    pid = int(file.read_text())
    try:
        assert not is_alive(pid)
    finally:
        if is_alive(pid):
            os.kill(pid, 9)


def test_one_that_is_no_python(tmp_path: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text("#!/bin/sh\necho no such library >&2; exit 127\n")
    wrapper.chmod(0o755)
    found = reason(run(Interpreter(name="x", executable=str(wrapper))))
    assert found == (
        "the interpreter ended with status 127 before it could import numpy: no such library"
    )
    missing = Interpreter(name="x", executable=str(tmp_path / "gone"))
    assert "cannot be started" in reason(run(missing))
