"""Building scenarios with the real compiler, for real interpreters."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scenarios import native
from scenarios.native import ask_interpreter, find_compiler
from scenarios.scenario import Scenario, build, load_scenario

from deadlock_matrix.errors import ConfigurationError, Unavailable

TOML = """\
title = "An answer"
kind = "deadlock"
statement = "import answer"
verdict = "hang"
explanation = "None."
"""
LIBRARY = '[[native]]\nname = "answer"\nkind = "library"\nsources = ["answer.c"]\n'
EXTENSION = (
    '[[native]]\nname = "asked"\nkind = "extension"\nsources = ["asked.c"]\n'
    'flags = ["-L.", "-lanswer", "-Wl,-rpath,$ORIGIN"]\n'
)
ANSWER = "int answer(void) { return 42; }\n"
ASKED = """\
#include <Python.h>
int answer(void);
static int execute(PyObject *module)
{
    return PyModule_AddIntConstant(module, "value", answer());
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "asked", .m_slots = slots};
PyMODINIT_FUNC PyInit_asked(void) { return PyModuleDef_Init(&definition); }
"""


@pytest.fixture(autouse=True)
def forget_interpreters() -> None:
    ask_interpreter.cache_clear()


def scenario_of(root: Path, toml: str, **sources: str) -> Scenario:
    folder = root / "scenario"
    folder.mkdir(exist_ok=True)
    (folder / "scenario.toml").write_text(TOML + toml)
    for name, text in {"answer.py": "value = 42\n", **sources}.items():
        (folder / name).write_text(text)
    return load_scenario(folder)


def library_of(root: Path, source: str = ANSWER, toml: str = LIBRARY) -> Scenario:
    return scenario_of(root, toml, **{"answer.c": source})


def imitation(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_extension_linked_to_a_library(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, LIBRARY + EXTENSION, **{"answer.c": ANSWER, "asked.c": ASKED})
    try:
        folder = build(scenario, sys.executable, tmp_path / "cache")
    except Unavailable as error:
        pytest.skip(str(error))
    assert (folder / "libanswer.so").is_file() and (folder / "answer.py").is_file()
    assert not (folder / "scenario.toml").exists()
    said = subprocess.run(
        [sys.executable, "-c", "import asked; print(asked.value)"],
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=True,
    )
    assert said.stdout == b"42\n"


def test_reused_until_something_changes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = build(library_of(tmp_path), sys.executable, cache)
    inode = (first / "libanswer.so").stat().st_ino
    assert build(library_of(tmp_path), sys.executable, cache) == first
    assert (first / "libanswer.so").stat().st_ino == inode
    others = {
        build(library_of(tmp_path, ANSWER + "\n"), sys.executable, cache),
        build(library_of(tmp_path, toml=LIBRARY + 'flags = ["-O2"]\n'), sys.executable, cache),
    }
    assert len(others | {first}) == 3


def test_concurrent_callers_share_one_folder(tmp_path: Path) -> None:
    cache, callers = tmp_path / "cache", 6
    scenario, together = library_of(tmp_path), threading.Barrier(callers)

    def one(_: int) -> Path:
        together.wait(30)
        return build(scenario, sys.executable, cache)

    with ThreadPoolExecutor(callers) as pool:
        folders = set(pool.map(one, range(callers)))
    assert [*cache.iterdir()] == [*folders]


def test_compile_error_shows_the_first_lines_and_leaves_nothing(tmp_path: Path) -> None:
    scenario = library_of(tmp_path, "int answer(void) { return forty_two; }\n")
    with pytest.raises(ConfigurationError, match=r"answer\.c:1:.*error.*forty_two"):
        build(scenario, sys.executable, tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Unavailable, match="choose a cache folder"):
        build(library_of(tmp_path), sys.executable, tmp_path / "cache")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(Unavailable, match=r"no C\+\+ compiler.*`apt-get install g\+\+"):
        find_compiler(cxx=True)
    with pytest.raises(Unavailable, match="no C compiler found"):
        build(library_of(tmp_path), sys.executable, tmp_path / "cache")


def test_variable_names_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O3")
    with pytest.raises(Unavailable, match=r"CC=no-such-compiler -O3.*unset CC"):
        find_compiler(cxx=False)


def test_variable_with_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_compiler(cxx=False).command[0]
    monkeypatch.setenv("CC", f"{real} -DTHE_ANSWER=42")
    scenario = library_of(tmp_path, "int answer(void) { return THE_ANSWER; }\n")
    assert (build(scenario, sys.executable, tmp_path / "cache") / "libanswer.so").is_file()


def test_no_headers(tmp_path: Path) -> None:
    answer = {"include": [str(tmp_path)], "suffix": ".so", "abi": "x", "version": "3.8"}
    python = imitation(tmp_path / "python", f"echo '{json.dumps(answer)}'")
    with pytest.raises(Unavailable, match=r"no Python.h in .*`apt-get install python3.8-dev`"):
        ask_interpreter(python)


def test_interpreter_that_fails(tmp_path: Path) -> None:
    python = imitation(tmp_path / "python", "echo broken >&2; exit 3")
    with pytest.raises(Unavailable, match=r"exit status 3.*broken"):
        ask_interpreter(python)
    with pytest.raises(Unavailable, match="nowhere"):
        ask_interpreter(str(tmp_path / "nowhere"))


def test_interpreter_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "ANSWER_TIMEOUT_S", 0.5)
    record = tmp_path / "child"
    python = imitation(
        tmp_path / "python", f"sleep 600 & echo $! > {shlex.quote(str(record))}; wait"
    )
    with pytest.raises(Unavailable, match="did not say"):
        ask_interpreter(python)
    assert ended(int(record.read_text()), within=20)


def ended(pid: int, within: float) -> bool:
    """Whether the process is gone, or waits only for somebody to collect it."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
