"""Stacks read from memory alone, on every version that is read so: names, lines, values, ids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythons import VERSIONS, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

FOLDERS = ("plain", "Jürgen", "проект", "带 空格", "🐍", os.fsdecode(b"b\xff\xfe"))

PROGRAM = """\
import os
import shutil
import threading
class Täter(threading.Thread):
    def run(self):
        größe = 3
        def inner(
            name,
            lock=None,
        ):
            for each in range(2):
                name = (
                    größe,
                    str(
                        größe
                    ),
                    verlangen(
                        größe
                    ),
                )
        inner(1)
def verlangen(сколько):
    try:
        1 / 0
    except ZeroDivisionError:
        with open(0) as input_:
            os.write(1, b"ready\\n"); input_.read()
thread = Täter()
thread.start()
thread.join()
"""


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    return interpreter(request.param)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def launch(started: list[subprocess.Popen[bytes]], command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def own_traceback(python: str, script: Path) -> list[tuple[str, int]]:
    """What the interpreter itself says of where the thread is, when its input fails."""
    code = (
        "import sys, threading, traceback, runpy\n"
        "def told(args):\n"
        "    for f, line in traceback.walk_tb(args.exc_traceback):\n"
        "        print(f.f_code.co_name, line)\n"
        "threading.excepthook = told\n"
        "sys.stdout.reconfigure(encoding='utf-8')\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    done = subprocess.run(
        [python, "-c", code, script],
        input=b"\xff",  # which is no UTF-8, so that read() raises
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = [line.split() for line in done.stdout.decode().splitlines() if line != "ready"]
    return [(name, int(line)) for name, line in lines if name != "decode"]


def thread_called(stacks: tuple[ThreadStack, ...], function: str) -> ThreadStack:
    return next(t for t in stacks if any(f.function == function for f in t.python))


def functions(frames: tuple[PythonFrame, ...]) -> list[str]:
    return [frame.function for frame in frames]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_lines_and_files_in_any_alphabet(
    python: str, started: list[subprocess.Popen[bytes]], tmp_path: Path, folder: str
) -> None:
    script = tmp_path / folder / "größe имя.py"
    script.parent.mkdir()
    script.write_text(PROGRAM, encoding="utf-8")
    process = launch(started, [python, str(script)])
    stacks = python_stacks.read_stacks(process.pid).threads
    thread = thread_called(stacks, "verlangen")
    own = [frame for frame in thread.python if not frame.file.endswith("threading.py")]
    shown = os.fsencode(script).decode("utf-8", "backslashreplace")
    assert {frame.file for frame in own if frame.file.endswith("имя.py")} == {shown}
    seen = [(frame.function, frame.line) for frame in own if frame.file == shown]
    assert [name for name, _ in seen] == ["run", "inner", "verlangen"]
    expected = own_traceback(python, script)
    assert seen == [pair for pair in expected if pair[0] in ("run", "inner", "verlangen")]


def test_values_of_the_frames_that_matter(
    python: str, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    script = tmp_path / "joins.py"
    script.write_text(
        "import os, threading\n"
        "class Täter(threading.Thread): pass\n"
        "gate = threading.Event()\n"
        "thread = Täter(target=gate.wait, kwargs={'timeout': 8e4}, daemon=True)\n"
        "thread.start()\n"
        "secret = 'of nobody else'\n"
        "threading.Thread(target=lambda: os.write(1, b'ready\\n')).start()\n"
        "thread.join(90000)\n",
        encoding="utf-8",
    )
    process = launch(started, [python, str(script)])
    for _ in range(2000):  # until both wait
        stacks = python_stacks.read_stacks(process.pid).threads
        names = {name for thread in stacks for name in functions(thread.python)}
        if {"join", "wait"} <= names:
            break
    joiner, waiter = thread_called(stacks, "join"), thread_called(stacks, "wait")
    join = next(frame for frame in joiner.python if frame.function == "join")
    boot = next(frame for frame in waiter.python if frame.function == "_bootstrap_inner")
    wait = next(frame for frame in waiter.python if frame.function == "wait")
    assert join.values["timeout"] == "90000"
    assert wait.values["timeout"] == "80000"
    assert join.values["self"] == boot.values["self"]
    assert join.values["self"].startswith("<Täter at 0x")
    assert joiner.tid == process.pid != waiter.tid
    assert "nobody" not in str(stacks)


def test_a_module_s_name_in_any_alphabet(
    python: str, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    for package in ("pkg_ü", "модуль", "包"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(
            "import os, sys\nos.write(1, b'ready\\n')\nsys.stdin.read()\n"
        )
        code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import {package}"
        process = launch(started, [python, "-c", code])
        (thread,) = python_stacks.read_stacks(process.pid).threads
        names = {f.values.get("name") for f in thread.python if f.function == "_find_and_load"}
        assert names == {f'"{package}"'}
        assert str(tmp_path / package / "__init__.py") in {f.file for f in thread.python}


def test_a_forked_child_has_one_thread_with_its_own_id(
    python: str, started: list[subprocess.Popen[bytes]]
) -> None:
    code = (
        "import os, signal, threading\n"
        "threading.Thread(target=signal.pause, daemon=True).start()\n"
        "child = os.fork()\n"
        "if not child: os.write(1, b'ready\\n'); signal.pause()\n"
        "os.wait()\n"
    )
    process = launch(started, [python, "-W", "ignore", "-c", code])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this kernel does not list children")
    child = int(children.read_text())
    try:
        assert [thread.tid for thread in python_stacks.read_stacks(child).threads] == [child]
    finally:
        os.kill(child, 9)


def test_an_interpreter_that_an_upgrade_has_removed(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    gone = tmp_path / "an interpreter"
    gone.mkdir()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    executable = Path(sys.base_prefix, "bin", f"python{version}")
    if not executable.exists():
        pytest.skip(f"there is no {executable}")
    for file in (executable, *Path(sys.base_prefix, "lib").glob(f"libpython{version}*.so*")):
        shutil.copy(file, gone)
    process = subprocess.Popen(
        [gone / executable.name, "-c", "import os; os.write(1, b'ready\\n'); input()"],
        env={**os.environ, "PYTHONHOME": sys.base_prefix, "LD_LIBRARY_PATH": str(gone)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    shutil.rmtree(gone)
    link = os.readlink(f"/proc/{process.pid}/exe")  # noqa: PTH115 - it names no file
    assert link.endswith(" (deleted)")
    (thread,) = python_stacks.read_stacks(process.pid).threads
    assert functions(thread.python) == ["<module>"]


def test_what_is_not_python_has_a_reason(started: list[subprocess.Popen[bytes]]) -> None:
    process = launch(started, ["sh", "-c", "echo ready; read nothing"])
    with pytest.raises(python_stacks.NotReadable, match="_PyRuntime"):
        python_stacks.read_stacks(process.pid)
