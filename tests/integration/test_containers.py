"""Hung Pythons in containers, looked at from the host, from beside them and without rights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from integration import container
from pythons import interpreter

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.stack_facts import ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="makes namespaces"),
    pytest.mark.timeout(120),
]

TOOL = (sys.executable, "-m", "deadlock_matrix", "inspect", "--json")

JOIN = """\
import os, threading
def наследник():
    global_lock.acquire()
    os.write(1, b"ready\\n")
    main.join()
global_lock = threading.Lock()
main = threading.main_thread()
thread = threading.Thread(target=наследник)
thread.start()
thread.join()
"""
MUTEXES = """\
import ctypes, os, threading
libc = ctypes.CDLL(None)
first, second = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
met = threading.Barrier(2)
def größe(one, other):
    libc.pthread_mutex_lock(one)
    met.wait()
    libc.pthread_mutex_lock(other)
threading.Thread(target=größe, args=(second, first)).start()
os.write(1, b"ready\\n")
größe(first, second)
"""
MODULES = """\
import os, sys
sys.path.insert(0, "/app")
import pkg_ü
"""
PACKAGE = """\
import os, threading
def ввоз():
    os.write(1, b"ready\\n")
    import pkg_ü.sub
thread = threading.Thread(target=ввоз)
thread.start()
thread.join()
"""
NAMESPACES = [
    pytest.param(container.PID_AND_MOUNT, id="pid-and-mount"),
    pytest.param(("--mount",), id="mount"),
    pytest.param((*container.PID_AND_MOUNT, "--user", "--map-root-user"), id="rootless"),
]
Start = Callable[..., int]
THIS = ".".join(map(str, sys.version_info[:2]))
VERSIONS = ("3.8", "3.13", "3.14", "3.15")


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a script in a container; gives the id of its process as the host sees it."""
    holders: list[subprocess.Popen[bytes]] = []
    python = interpreter(getattr(request, "param", THIS))

    def run(script: str, *namespaces: str) -> int:
        folder, root = tmp_path / "Jürgen 带 空格", tmp_path / "root"
        (folder / "pkg_ü").mkdir(parents=True)
        root.mkdir()
        (folder / "проект.py").write_text(script, encoding="utf-8")
        (folder / "pkg_ü" / "__init__.py").write_text(PACKAGE, encoding="utf-8")
        (folder / "pkg_ü" / "sub.py").write_text("")
        holder, reason = container.start(folder, "проект.py", root, *namespaces, python=python)
        holders.append(holder)
        if reason:
            pytest.skip(reason)
        inside = "--fork" in namespaces
        return container.main_process(holder.pid) if inside else holder.pid

    yield run
    for holder in holders:
        holder.kill()
        holder.communicate()


def inspect(pid: int, *wrapper: str | Path) -> Inspection:
    """What the tool says when it is started by ``wrapper``, until that is a proof."""
    for _ in range(20):  # the last thread may still be on its way into its wait
        done = subprocess.run(
            [*wrapper, *TOOL, str(pid)], capture_output=True, timeout=60, check=False
        )
        assert done.stdout, done.stderr.decode()
        answer = msgspec.json.decode(done.stdout, type=Inspection)
        if answer.verdict == "deadlock":
            break
    assert answer.verdict == "deadlock", (answer.sentence, answer.gaps)
    return answer


def stacks_of(answer: Inspection) -> dict[int, ThreadStack]:
    assert isinstance(answer.evidence, Known)
    (facts,) = answer.evidence.value.stacks
    assert isinstance(facts.stacks, Known), facts.stacks
    return {thread.tid: thread for thread in facts.stacks.value.threads}


def places(answer: Inspection) -> set[tuple[str, str, int]]:
    """File, function and line of every frame of the user's own."""
    return {
        (frame.file, frame.function, frame.line)
        for thread in stacks_of(answer).values()
        for frame in thread.python
        if frame.file.startswith("/app/")
    }


EVERYTHING_OF_A_JOIN = {
    ("/app/проект.py", "<module>", 10),
    ("/app/проект.py", "наследник", 5),
}


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_a_join_is_proved_from_the_host(start: Start, namespaces: tuple[str, ...]) -> None:
    pid = start(JOIN, *namespaces)
    answer = inspect(pid)
    assert places(answer) == EVERYTHING_OF_A_JOIN
    assert pid in stacks_of(answer)


@pytest.mark.parametrize("start", VERSIONS, indirect=True)
def test_any_python_is_seen_from_the_host(start: Start) -> None:
    answer = inspect(start(JOIN, *container.PID_AND_MOUNT))
    assert places(answer) == EVERYTHING_OF_A_JOIN


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_owners_of_mutexes_are_told_from_the_host(
    start: Start, namespaces: tuple[str, ...]
) -> None:
    answer = inspect(start(MUTEXES, *namespaces))
    assert answer.proof is not None and answer.proof.kind == "owner"
    assert {name for _, name, _ in places(answer)} == {"<module>", "größe"}


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_an_import_lock_is_told_from_the_host(start: Start, namespaces: tuple[str, ...]) -> None:
    answer = inspect(start(MODULES, *namespaces))
    assert "waits for the import lock of module 'pkg_ü'" in answer.sentence
    assert "joins thread" in answer.sentence
