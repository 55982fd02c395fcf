"""Python stacks by py-spy, where pystack cannot read them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from deadlock_matrix.capture.stacks_worker import KEPT, VALUE_LIMIT, is_kept
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import NativeFrame, ThreadStack

_GIL = "py-spy says the same for a thread without the GIL and for one it cannot tell of"


class PySpyFailed(Exception):
    """py-spy is not installed, failed, or did not end in time. The message says which."""


def read_stacks(pid: int, limit_s: float) -> tuple[ThreadStack, ...]:
    """Return all Python threads, without stopping the process.

    What it says about the GIL is not used: its ``owns_gil`` is false also where it does not know.

    Raises:
        PySpyFailed: Nothing could be read.
    """
    threads = _dump(pid, limit_s, "--locals", "--nonblocking")
    try:
        return tuple(_thread(thread) for thread in threads)
    except (KeyError, TypeError) as error:
        raise PySpyFailed(f"py-spy's answer is not understood: {error!r}") from None


def read_native_frames(pid: int, limit_s: float) -> dict[int, tuple[NativeFrame, ...]]:
    """Return the native frames of all Python threads by thread id, outermost first.

    Stops each thread for a moment. The frames' addresses are not reported.

    Raises:
        PySpyFailed: Nothing could be read.
    """
    try:
        return {
            thread["os_thread_id"]: tuple(
                _native_frame(frame) for frame in reversed(thread["frames"]) if frame["module"]
            )
            for thread in _dump(pid, limit_s, "--native")
        }
    except (KeyError, TypeError) as error:
        raise PySpyFailed(f"py-spy's answer is not understood: {error!r}") from None


def _dump(pid: int, limit_s: float, *options: str) -> list[dict[str, Any]]:
    command = [_executable(), "dump", "--pid", str(pid), "--json", *options]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise PySpyFailed(f"py-spy did not end within {limit_s:g} s") from None
    except OSError as error:
        raise PySpyFailed(f"py-spy cannot be started: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[0] if lines else f"exit status {done.returncode}"
        raise PySpyFailed(f"py-spy: {reason}"[:500])
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as error:
        raise PySpyFailed(f"py-spy's answer is not understood: {error!r}") from None
    return found


def _executable() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise PySpyFailed("py-spy is not installed")
    return found


def _thread(thread: dict[str, Any]) -> ThreadStack:
    if thread["os_thread_id"] is None:
        raise PySpyFailed("py-spy could not tell the ids of the threads (a container?)")
    return ThreadStack(
        tid=thread["os_thread_id"],
        name=thread["thread_name"] or "",
        python=tuple(_frame(frame) for frame in reversed(thread["frames"])),
        native=(),
        holds_gil=unknown(_GIL),
    )


def _frame(frame: dict[str, Any]) -> PythonFrame:
    values: dict[str, str] = {}
    if is_kept(frame["filename"]):
        for local in frame["locals"] or ():
            if local["name"] in KEPT:
                values[local["name"]] = str(local["repr"])[:VALUE_LIMIT]
    # Qualified where the interpreter knows the name so, from 3.11: `Thread.join`, `f.<locals>.g`.
    function = frame["name"].rpartition(".")[2]
    return PythonFrame(function=function, file=frame["filename"], line=frame["line"], values=values)


def _native_frame(frame: dict[str, Any]) -> NativeFrame:
    named = not frame["name"].startswith("0x")
    of_source = frame["line"] > 0
    return NativeFrame(
        symbol=frame["name"] if named else "??",
        library=frame["module"],
        address=0,
        file=frame["filename"] if of_source else "",
        line=frame["line"] if of_source else 0,
    )
