"""Candidates by python-discovery, pyenv's versions, and which paths are one interpreter.

No process is started here: the library may not ask what it finds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from python_discovery import PythonInfo

from deadlock_matrix.interpreters.candidates import list_candidates
from deadlock_matrix.interpreters.physical import choose_path, key_of, may_wrap, name_of
from deadlock_matrix.interpreters.places import in_order
from deadlock_matrix.interpreters.pyenv import is_shim, pyenv_root, pyenv_versions
from deadlock_matrix.model.fact import Known, Unknown

posix = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")
pytestmark = posix
PythonInfo.current_system()  # asked once in a process; here, where it may start one


def make(path: Path, content: bytes = b"#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def candidates(variables: dict[str, str], *folders: Path) -> list[str]:
    found = list_candidates({"PATH": "", **variables}, map(str, folders))
    assert isinstance(found, Known), found
    # The library always begins with the interpreter that runs it, and its base.
    own = {os.path.realpath(sys.executable), sys.executable}
    return [path for path in found.value if path not in own and os.path.realpath(path) not in own]


def test_nothing_is_asked_and_everything_is_named(tmp_path: Path) -> None:
    # The guard of the unit tests fails this one as soon as the library starts what it finds.
    first, second = tmp_path / "fïrst one", tmp_path / "second"
    names = ["python", "python3", "python3.9", "python3.10", "python3.13t", "pypy3.10", "graalpy"]
    for name in [*names, "python-config", "pythonic", "ipython"]:
        make(first / name)
    make(second / "python3")
    found = candidates({"PATH": str(first)}, second)
    assert found == [
        *sorted((str(first / name) for name in names), key=in_order),
        str(second / "python3"),
    ]
    assert found.index(str(first / "python3.9")) < found.index(str(first / "python3.10"))


def test_those_of_uv(tmp_path: Path) -> None:
    store = tmp_path / "uv store"
    made = make(store / "cpython-3.12.1-linux-x86_64-gnu" / "bin" / "python")
    assert str(made) in candidates({"UV_PYTHON_INSTALL_DIR": str(store)})


def test_a_link_that_leads_nowhere_and_a_folder_are_no_candidates(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(tmp_path / "gone")
    (tmp_path / "python3").mkdir()
    (tmp_path / "python3.12").symlink_to("python3.12")
    assert candidates({"PATH": str(tmp_path)}) == []


def test_what_this_process_knows_already_is_named_too() -> None:
    found = list_candidates({"PATH": ""})
    assert isinstance(found, Known)
    assert sys.executable in found.value


def test_a_library_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**given: object) -> None:
        raise RuntimeError("prefixes are causing a circle")

    monkeypatch.setattr("python_discovery.iter_interpreters", fail)
    assert list_candidates({"PATH": ""}) == Unknown(
        reason="python-discovery failed: prefixes are causing a circle"
    )


def test_pyenv_versions(tmp_path: Path) -> None:
    root = pyenv_root({"PYENV_ROOT": str(tmp_path)}, Path("/nobody"))
    assert pyenv_root({}, Path("/nobody")) == Path("/nobody/.pyenv")
    paths = [
        str(make(root / "versions" / version / "bin" / name))
        for version, name in (
            ("3.9.18", "python"),
            ("3.10.13", "python"),
            ("3.11.7", "python"),
            ("pypy3.10-7.3", "pypy3"),
        )
    ]
    (root / "versions" / "3.1.5" / "bin").mkdir(parents=True)  # was removed by hand
    assert pyenv_versions(root) == paths
    assert pyenv_versions(root, 3, 1) == []  # neither 3.10 nor 3.11
    assert pyenv_versions(root, 3, 10) == paths[1:2]
    assert pyenv_versions(root, 3) == paths[:3]
    assert pyenv_versions(tmp_path / "nothing") == []


def test_a_shim_is_known_also_through_a_link(tmp_path: Path) -> None:
    root = tmp_path / "pyenv"
    shim = make(root / "shims" / "python3.9")
    (tmp_path / "linked").symlink_to(root)
    assert is_shim(str(shim), root)
    assert is_shim(str(tmp_path / "linked" / "shims" / "python3.9"), root)
    assert not is_shim(str(make(root / "versions" / "3.9.1" / "bin" / "python")), root)


def test_links_lead_to_one_interpreter(tmp_path: Path) -> None:
    real = make(tmp_path / "usr" / "bin" / "python3.11", b"\x7fELF")
    (tmp_path / "bin").symlink_to(tmp_path / "usr" / "bin")
    paths = [real, tmp_path / "bin" / "python3.11"]
    for folder, name in (("usr/bin", "python3"), ("farm", "python"), ("farm", "python2")):
        link = tmp_path / folder / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(real)
        paths.append(link)
    assert len({key_of(str(path)) for path in paths}) == 1
    assert choose_path(map(str, reversed(paths))) == str(real)


def test_an_environment_is_an_interpreter_of_its_own(tmp_path: Path) -> None:
    base = make(tmp_path / "python3.11", b"\x7fELF")
    keys = set()
    for name in ("one", "two"):
        folder = tmp_path / name / "bin"
        folder.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").touch()
        for link in ("python3.11", "python3", "python"):
            (folder / link).symlink_to(base)
        keys |= {key_of(str(path)) for path in folder.iterdir()}
        assert choose_path(sorted(map(str, folder.iterdir()), reverse=True)).endswith("/python")
    assert len(keys) == 2
    assert key_of(str(base)) not in keys
    # Called through a link from elsewhere, an environment's python is its base.
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "python"
    link.symlink_to(tmp_path / "one" / "bin" / "python")
    assert key_of(str(link)) == key_of(str(base))


def test_one_program_that_is_many_is_told_apart_by_its_names(tmp_path: Path) -> None:
    program = make(tmp_path / "mise", b"\x7fELF")
    links = [tmp_path / "python3.11", tmp_path / "python3.12"]
    for link in links:
        link.symlink_to(program)
    assert key_of(str(links[0])) != key_of(str(links[1]))
    assert may_wrap(str(links[0]))
    assert may_wrap(str(make(tmp_path / "python3")))  # a script
    assert not may_wrap(str(make(tmp_path / "python3.13t", b"\x7fELF")))


@pytest.mark.parametrize(
    ("path", "mark", "name"),
    [
        ("work/.venv/bin/python", "pyvenv.cfg", "work-venv"),
        ("work/venv/bin/python", "pyvenv.cfg", "work-venv"),
        ("envs/mine/bin/python", "conda-meta", "mine"),
        ("mine/python.exe", "conda-meta", "mine"),
        ("usr/bin/python3.11", "", "python3.11"),
        ("Python312/python.exe", "", "python"),
    ],
)
def test_names(tmp_path: Path, path: str, mark: str, name: str) -> None:
    executable = make(tmp_path / path)
    if mark:
        home = executable.parent
        (home.parent if home.name == "bin" else home).joinpath(mark).mkdir()
    assert name_of(str(executable)) == name
