"""Running somebody else's command for what it prints: bounded in time, in output, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from deadlock_matrix.model.fact import Known, Unknown, known, unknown

OUTPUT_LIMIT = 4 << 20
_LOOK_S = 0.02
_KILL_S = 5.0  # that the kernel has to end what was killed


def read_output(
    command: Sequence[str], deadline_s: float, folder: str, limit: int = OUTPUT_LIMIT
) -> Known[bytes] | Unknown:
    """Run ``command`` and read what it prints.

    Args:
        command: An executable and its arguments.
        deadline_s: Seconds after which it, and whatever it started, is killed.
        folder: Where it is run.
        limit: Bytes of output after which it is killed too.

    Returns:
        What it printed on its standard output; unknown, and why, unless it ended with status 0.
    """
    shown = " ".join([Path(command[0]).name, *command[1:]])
    # Into a file: nobody who holds a pipe open can make us wait.
    with tempfile.TemporaryFile() as out:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return unknown(f"'{shown}' cannot be started: {error}")
        try:
            problem = _watch(child, out, deadline_s, limit)
        except BaseException:
            _end(child)
            raise
        if problem:
            _end(child)
            return unknown(f"'{shown}' {problem}, and was ended")
        if child.returncode:
            return unknown(f"'{shown}' failed with status {child.returncode}")
        out.seek(0)
        return known(out.read(limit), shown)


def end_descendants() -> None:
    """End every process that descends from this one, so that no thread has to wait for one."""
    end = time.monotonic() + _KILL_S
    while (left := _living(os.getpid())) and time.monotonic() < end:  # a thread may start another
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(_LOOK_S)


def _watch(child: subprocess.Popen[bytes], out: IO[bytes], deadline_s: float, limit: int) -> str:
    """Wait until the child has ended; what is wrong with it, if it may not go on."""
    end = time.monotonic() + deadline_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK_S)
        if os.fstat(out.fileno()).st_size > limit:
            return f"prints more than {limit} bytes"
        if child.returncode is not None:
            return ""
        if time.monotonic() >= end:
            return f"does not end within {deadline_s:g} s"


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, what it started and its session."""
    if child.returncode is not None:
        return  # its number may be somebody else's by now
    family = _living(child.pid)
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.wait(_KILL_S)
    psutil.wait_procs(family, timeout=_KILL_S)


def _living(pid: int) -> list[psutil.Process]:
    """The descendants of a process that are not merely left to be waited for."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found
