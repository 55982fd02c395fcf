"""Whose code a frame runs, and which frames are folded."""

from __future__ import annotations

import pytest

from deadlock_matrix.diagnosis.frames import Fold, fold, is_users, package_of, users_frame
from deadlock_matrix.model.frames import PythonFrame

LIB = "/opt/python/lib/python3.12"
SITE = f"{LIB}/site-packages"


def frame(file: str, function: str = "f", line: int = 1) -> PythonFrame:
    return PythonFrame(function=function, file=file, line=line)


@pytest.mark.parametrize(
    ("file", "package", "users"),
    [
        ("/home/me/app.py", "", True),
        ("app.py", "", True),
        ("<string>", "", True),
        (f"{LIB}/threading.py", "threading", False),
        (f"{LIB}/concurrent/futures/thread.py", "concurrent", False),
        ("/usr/lib/python3.13t/queue.py", "queue", False),
        ("<frozen importlib._bootstrap>", "importlib", False),
        ("<frozen runpy>", "runpy", False),
        (f"{SITE}/_pytest/runner.py", "_pytest", False),
        (f"{SITE}/six.py", "six", False),
        ("/usr/lib/python3/dist-packages/numpy/core.py", "numpy", False),
        (r"C:\Users\me\Python312\Lib\threading.py", "threading", False),
        (r"C:\Users\me\app.py", "", True),
        ("/home/me/Lib/app.py", "", True),  # a user's folder may be called so
    ],
)
def test_whose_code_it_is(file: str, package: str, users: bool) -> None:
    assert package_of(frame(file)) == package
    assert is_users(frame(file)) is users


def test_the_users_line_is_the_innermost_of_his_own() -> None:
    mine = frame("/home/me/app.py", line=7)
    stack = [
        frame("/home/me/main.py"),
        frame(f"{SITE}/_pytest/runner.py"),
        mine,
        frame(f"{SITE}/requests/api.py"),
        frame(f"{LIB}/socket.py"),
    ]
    assert users_frame(stack) is mine
    # An application that is installed is the next best; what only leads to it is not.
    installed = frame(f"{SITE}/service/app.py")
    assert users_frame([installed, frame(f"{SITE}/_pytest/x.py"), stack[-1]]) is installed
    assert users_frame([frame(f"{SITE}/pluggy/x.py"), stack[-1]]) is None


def test_machinery_is_folded_and_the_innermost_frame_stands() -> None:
    pytest_frame, pluggy = frame(f"{SITE}/_pytest/a.py"), frame(f"{SITE}/pluggy/b.py")
    mine = frame("/home/me/test_app.py")
    inner = frame(f"{LIB}/threading.py", "wait")
    folded = list(fold([pytest_frame, pluggy, pytest_frame, mine, inner]))
    assert folded == [
        Fold((pytest_frame, pluggy, pytest_frame), ("_pytest", "pluggy")),
        mine,
        inner,
    ]
    assert str(folded[0]) == "3 frames of _pytest and pluggy"
    # One alone takes no more room than its number would; where a thread waits is always shown.
    assert list(fold([pytest_frame, mine, pluggy, pluggy])) == [pytest_frame, mine, pluggy, pluggy]
    assert list(fold([])) == []


def test_what_a_fork_copied_is_not_where_the_child_is() -> None:
    mine = frame("/home/me/app.py", "start")
    copied = [mine, frame(f"{LIB}/multiprocessing/popen_fork.py", "_launch")]
    begin = [frame(f"{LIB}/multiprocessing/process.py", name) for name in ("_bootstrap", "run")]
    work, wait = frame("/home/me/app.py", "work"), frame(f"{LIB}/queue.py", "get")
    assert users_frame([*copied, *begin, work, wait]) is work
    assert users_frame([*copied, *begin, wait]) is None
    assert list(fold([*copied, *begin, work, wait])) == [
        Fold(tuple(copied)),
        Fold(tuple(begin), ("multiprocessing",)),
        work,
        wait,
    ]
    assert str(Fold(tuple(copied))) == "2 frames from before the fork"
    assert users_frame(copied) is mine  # one that is about to fork is there itself


def test_of_threading_only_the_beginning_is_machinery() -> None:
    begin = [frame(f"{LIB}/threading.py", name) for name in ("_bootstrap", "_bootstrap_inner")]
    waits = [frame(f"{LIB}/threading.py", "wait")] * 2
    mine = frame("/home/me/app.py")
    assert list(fold([*begin, mine, *waits])) == [Fold(tuple(begin), ("threading",)), mine, *waits]
