"""``deadlock-matrix inspect --follow``: it waits until one of several processes hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.endings import INTERRUPTED

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads procfs"),
    pytest.mark.timeout(300),
]

TOOL = (sys.executable, "-m", "deadlock_matrix")
Launch = Callable[..., "subprocess.Popen[bytes]"]

# Does what a line of standard input says. SIGINT, which a proof depends on, may be inherited as
# ignored.
OBEDIENT = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
os.write(1, b"ready\\n")
if sys.stdin.readline() == "hang\\n":
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""


@pytest.fixture
def start(launch: Launch, tmp_path: Path) -> Callable[[], subprocess.Popen[bytes]]:
    script = tmp_path / f"obedient-{os.urandom(4).hex()}.py"
    script.write_text(OBEDIENT)

    def run() -> subprocess.Popen[bytes]:
        process = launch(sys.executable, str(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    run.name = script.name  # type: ignore[attr-defined]
    return run


Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def follow(launch: Launch) -> Callable[..., subprocess.Popen[bytes]]:
    def run(*words: str) -> subprocess.Popen[bytes]:
        process = launch(
            *TOOL, "inspect", "--follow", *words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline() == b"deadlock-matrix: waiting until a process hangs\n"
        return process

    return run


Follow = Callable[..., "subprocess.Popen[bytes]"]


def tell(process: subprocess.Popen[bytes], what: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(what)
    process.stdin.flush()


@pytest.mark.parametrize("by", ["pid", "name", "name without suffix"])
def test_the_first_that_hangs_is_shown(start: Start, follow: Follow, by: str) -> None:
    processes = [start() for _ in range(3)]
    pids = [str(process.pid) for process in processes]
    name: str = start.name  # type: ignore[attr-defined]
    pattern = name.removesuffix(".py") if by == "name without suffix" else name
    following = follow(*(pids if by == "pid" else ("--name", pattern)))
    tell(processes[0], b"end\n")
    assert processes[0].wait(60) == 0
    tell(processes[1], b"hang\n")
    said, _ = following.communicate(timeout=120)
    assert following.returncode == 35
    assert said.decode().startswith(f"deadlock: main thread {pids[1]} in <module> ({name}:8)")


def test_a_name_that_no_process_has_is_an_error() -> None:
    done = subprocess.run(
        [*TOOL, "inspect", "--follow", "--name", "no-such-program"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 125
    assert done.stderr.endswith(
        "no running Python process has a name that matches 'no-such-program'.\n"
    )


def test_when_none_is_left_it_ends(start: Start, follow: Follow) -> None:
    process = start()
    following = follow(str(process.pid))
    tell(process, b"end\n")
    assert process.wait(60) == 0
    said, complained = following.communicate(timeout=120)
    assert (following.returncode, said) == (0, b"")
    assert complained == b"deadlock-matrix: none of the processes is left\n"


def test_it_can_be_interrupted(start: Start, follow: Follow) -> None:
    following = follow(str(start().pid))
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=120)
    assert following.returncode in INTERRUPTED


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--follow"], "--follow needs the ids of processes or --name PATTERN"),
        (["--follow", "1", "--name", "x"], "--follow needs the ids of processes or --name PATTERN"),
        (["1", "2"], "inspect looks at one process"),
        (["--name", "x"], "inspect looks at one process"),
        ([], "inspect looks at one process"),
    ],
)
def test_what_is_not_understood(words: list[str], complaint: str) -> None:
    done = subprocess.run(
        [*TOOL, "inspect", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and complaint in done.stderr
