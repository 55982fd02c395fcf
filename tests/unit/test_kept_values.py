"""Of a target's variables only those leave it that a proof needs."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from deadlock_matrix.capture.kept_values import keep_only_needed
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack

DEBIAN = ("/usr/bin",)
OBJECT = "<threading.Thread object at 0x7f00deadbeef>"


def kept(file: str, values: dict[str, str], places: tuple[str, ...] = DEBIAN) -> dict[str, str]:
    frame = PythonFrame(function="f", file=file, line=1, values=values)
    stack = ThreadStack(tid=1, name="", python=(frame,), native=(), holds_gil=unknown("no"))
    return keep_only_needed((stack,), map(PurePosixPath, places))[0].python[0].values


@pytest.mark.parametrize(
    ("file", "places"),
    [
        ("/usr/lib/python3.11/threading.py", DEBIAN),
        ("<frozen importlib._bootstrap>", ()),
        ("/opt/p/lib/python3.13t/threading.py", ("/opt/p/bin",)),
        ("/opt/p/lib/python3.13/threading.py", ("/app", "/opt/p/lib")),
        ("/usr/lib64/python3.12/queue.py", ("/usr/bin",)),
        ("/src/cpython/Lib/threading.py", ("/src/cpython",)),
    ],
)
def test_the_standard_library_keeps_what_a_proof_needs(file: str, places: tuple[str, ...]) -> None:
    values = {"self": OBJECT, "timeout": "None", "name": "'torch._C'"}
    assert kept(file, values, places) == values


@pytest.mark.parametrize(
    "file",
    [
        "/app/queue.py",
        "/usr/bin/app/Lib/queue.py",
        "/app/lib/python3.11/queue.py",
        "/usr/lib/python3.11/site-packages/app/queue.py",
        "/usr/lib/python3/dist-packages/multiprocessing/queue.py",
        "queue.py",
    ],
)
def test_an_application_keeps_nothing(file: str) -> None:
    assert kept(file, {"self": OBJECT, "name": "'alice'"}) == {}


@pytest.mark.parametrize(
    "value",
    [
        "{'password': 'hunter2'}",
        "Account(user='alice')",
        "<Account 'alice' at 0x7f00>",
        "'alice@example.com / pin 4711'",
        '"two words"',
        f"[{OBJECT}]",
    ],
)
def test_what_may_be_data_is_withheld_everywhere(value: str) -> None:
    every = dict.fromkeys(("self", "name", "lock", "spec", "timeout", "block"), value)
    assert kept("/usr/lib/python3.11/threading.py", every) == {}
