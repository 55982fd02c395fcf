"""What a process runs, without what it was told."""

from __future__ import annotations

import os
import sys

import pytest

from deadlock_matrix.capture.command import age_of, command_of, what_runs
from deadlock_matrix.capture.proc_files import open_directory
from deadlock_matrix.capture.proc_text import parse_stat
from deadlock_matrix.model.fact import Known

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads procfs")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["python3", "/srv/app.py", "--password", "hunter2"], ("python3", "/srv/app.py")),
        (["/usr/bin/python3.13t", "-u", "-X", "dev", "-W", "error", "app.py", "secret"],
         ("/usr/bin/python3.13t", "app.py")),
        (["python", "-Im", "http.server", "8000"], ("python", "-m", "http.server")),
        (["python", "-c", "login('hunter2')"], ("python", "-c")),
        (["python", "-Xdev", "-Wmodule", "-bbc", "login('hunter2')"], ("python", "-c")),
        (["python", "-"], ("python", "-")),
        (["python"], ("python",)),
        (["python", "-m"], ("python", "-m", "")),
        (["pypy3.10", "app.py"], ("pypy3.10", "app.py")),
        (["/usr/bin/mysql", "-phunter2"], ("/usr/bin/mysql",)),
        (["gunicorn: worker [hunter2]"], ("gunicorn:",)),
        ([""], ()),
        ([], ()),
    ],
)  # fmt: skip
def test_nothing_private_is_kept(words: list[str], kept: tuple[str, ...]) -> None:
    assert what_runs(words) == kept


@LINUX
def test_a_program_in_a_folder_with_a_space() -> None:
    assert what_runs(["/srv/my app/bin/python", "-m", "x", "secret"]) == (
        "/srv/my app/bin/python",
        "-m",
        "x",
    )
    assert what_runs(["/srv/worker: secret"]) == ("/srv/worker:",)  # a title


def test_our_own() -> None:
    directory = open_directory(f"/proc/{os.getpid()}")
    try:
        found = command_of(os.getpid(), directory)
        with open(f"/proc/{os.getpid()}/stat", "rb") as file:  # noqa: PTH123
            started = parse_stat(file.read()).started
    finally:
        os.close(directory)
    assert isinstance(found, Known) and found.value[0].rpartition("/")[2].startswith("py")
    assert 0 <= age_of(os.getpid(), started).value < 86400
