"""Which virtual environments can be known, and trees of folders, also with loops in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deadlock_matrix.interpreters.environments import list_environments, search_trees
from deadlock_matrix.interpreters.places import Surroundings, look_around, up_to_project

pytestmark = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")


def make_environment(folder: Path, executable: str = "python") -> str:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    python = folder / "bin" / executable
    python.symlink_to("/gone/python3.11")  # its base is gone; it is one nevertheless
    return str(python)


def around(folder: Path, **variables: str) -> Surroundings:
    return Surroundings(variables=variables, home=str(folder / "home"), folder=str(folder))


def test_active_of_the_project_of_sessions_and_kept_together(tmp_path: Path) -> None:
    here = tmp_path / "project" / "src" / "deep"
    here.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    active = make_environment(tmp_path / "ünd active")
    expected = [
        active,
        make_environment(here / "venv"),
        make_environment(tmp_path / "project" / ".venv"),
        make_environment(here / ".nox" / "tests-3-9"),
        make_environment(here / ".nox" / "tests-3-10"),
        make_environment(here / ".tox" / "py"),
    ]
    make_environment(tmp_path / ".venv")  # above the project: somebody else's
    (here / ".nox" / "tmp").mkdir()
    kept = [make_environment(tmp_path / "home" / ".virtualenvs" / "a")]
    surroundings = Surroundings(
        variables={"VIRTUAL_ENV": str(tmp_path / "ünd active")},
        home=str(tmp_path / "home"),
        folder=str(here),
    )
    assert list(list_environments(surroundings)) == expected + kept


def test_work_on_home_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    make_environment(tmp_path / "home" / ".virtualenvs" / "a")
    wanted = make_environment(tmp_path / "[work] on" / "b")
    surroundings = around(tmp_path, WORKON_HOME=str(tmp_path / "[work] on"))
    assert list(list_environments(surroundings)) == [wanted]


def test_an_environment_without_any_python_is_listed(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").touch()
    found = list(list_environments(around(tmp_path)))
    assert found == [str(tmp_path / ".venv" / "bin" / "python")]


def test_a_folder_that_is_active_and_gone_is_not(tmp_path: Path) -> None:
    surroundings = around(tmp_path, VIRTUAL_ENV=str(tmp_path / "gone"))
    assert list(list_environments(surroundings)) == []


def test_without_a_project_only_the_current_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    # Whatever lies above the temporary folder: nothing of it comes before ours.
    assert up_to_project(tmp_path / "a" / "b")[0] == tmp_path / "a" / "b"
    (tmp_path / "setup.cfg").touch()
    assert up_to_project(tmp_path / "a" / "b") == (
        tmp_path / "a" / "b",
        tmp_path / "a",
        tmp_path,
    )


def test_a_tree_with_a_loop(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    one = make_environment(tree / "a" / "one", "python3")
    two = make_environment(tree / "b" / "two")
    (tree / "a" / "loop").symlink_to(tree)
    (tree / "b" / "two" / "lib").mkdir()
    make_environment(tree / "b" / "two" / "lib" / "inner")  # part of the one around it
    outside = make_environment(tmp_path / "outside")
    (tree / "linked").symlink_to(tmp_path / "outside")
    (tree / "opt" / "bin").mkdir(parents=True)
    make_environment(tree / "node_modules" / "never")
    executables, bins = search_trees([str(tree)])
    linked = outside.replace(str(tmp_path / "outside"), str(tree / "linked"))
    assert sorted(executables) == sorted([one, two, linked])
    assert bins == [str(tree / "opt" / "bin")]


def test_a_tree_that_is_itself_an_environment(tmp_path: Path) -> None:
    base = make_environment(tmp_path / "conda")
    inside = make_environment(tmp_path / "conda" / "envs" / "inside")
    assert search_trees([str(tmp_path / "conda")]) == ([base, inside], [])


def test_the_surroundings_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    (tmp_path / ".asdf/installs/python/3.9.1/bin").mkdir(parents=True)
    (tmp_path / ".asdf/installs/python/3.10.1/bin").mkdir(parents=True)
    found = look_around([Path("tree")])
    assert found.variables["VIRTUAL_ENV"] == "/somewhere"
    assert (found.home, found.folder) == (str(tmp_path), str(tmp_path))
    assert found.trees == (str(tmp_path / "tree"),)
    assert found.folders[-2:] == (
        str(tmp_path / ".asdf/installs/python/3.9.1/bin"),
        str(tmp_path / ".asdf/installs/python/3.10.1/bin"),
    )
