"""Of a target's variables only those leave it that a proof needs."""

from __future__ import annotations

import pytest

from deadlock_matrix.capture.kept_values import keep_only_needed
from deadlock_matrix.model.evidence import PythonFrame, ThreadStack
from deadlock_matrix.model.fact import unknown

DEBIAN = ("/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libc.so.6")
OBJECT = "<threading.Thread object at 0x7f00deadbeef>"


def kept(file: str, values: dict[str, str], mapped: tuple[str, ...] = DEBIAN) -> dict[str, str]:
    frame = PythonFrame(function="f", file=file, line=1, values=values)
    stack = ThreadStack(tid=1, name="", python=(frame,), native=(), holds_gil=unknown("no"))
    return keep_only_needed((stack,), mapped)[0].python[0].values


@pytest.mark.parametrize(
    ("file", "mapped"),
    [
        ("/usr/lib/python3.11/threading.py", DEBIAN),
        ("<frozen importlib._bootstrap>", ()),
        ("/opt/p/lib/python3.13t/threading.py", ("/opt/p/bin/python3.13t",)),
        ("/opt/p/lib/python3.13/threading.py", ("/app/server", "/opt/p/lib/libpython3.13.so.1.0")),
        ("/usr/lib64/python3.12/queue.py", ("/usr/bin/python3.12 (deleted)",)),
        ("/x/lib/python3.9/queue.py", ("/x/lib/python3.9/lib-dynload/_heapq.so",)),
    ],
)
def test_the_standard_library_keeps_what_a_proof_needs(file: str, mapped: tuple[str, ...]) -> None:
    values = {"self": OBJECT, "timeout": "None", "name": "'torch._C'"}
    assert kept(file, values, mapped) == values


@pytest.mark.parametrize(
    "file",
    [
        "/app/queue.py",
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
