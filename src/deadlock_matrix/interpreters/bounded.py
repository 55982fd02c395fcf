"""A process that may hang, start others or hide from us: bounded, and ended with all it started."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

_MARK = "DEADLOCK_MATRIX_BOUNDED"
"""A variable by which descendants are known, also those that left family and session."""

_KEPT_BYTES = 1 << 20
_KILL_S = 5.0  # that the kernel has to end what was killed


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the process, and what it wrote (the last MiB).

    ``status`` is its exit status, or the number of the signal that ended it, negated.
    ``in_time`` is false if it was ended because its time was up.
    """

    status: int
    in_time: bool
    said: str
    complained: str

    @property
    def words(self) -> str:
        """The end of what it complained of, or said, on one line."""
        words = " ".join((self.complained or self.said).split()) or "it said nothing"
        return words if len(words) <= 300 else "... " + words[-300:]


def run_bounded(command: Sequence[str], environment: Mapping[str, str], deadline_s: float) -> Ended:
    """Start ``command`` in an empty folder and a session of its own, and wait until it ends.

    Whatever it started is ended with it, also what outlives it. Missed is only a descendant that
    has lost its parent and left the session, *and* has another environment or hides it from us. The
    killing may take some seconds more than the deadline.

    Raises:
        OSError, ValueError: It cannot be started.
    """
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(
        prefix="deadlock-matrix-", ignore_cleanup_errors=True
    ) as folder:
        # Into files: nobody who holds a pipe open can make us wait.
        out, err, here = (Path(folder, name) for name in ("out", "err", "here"))
        here.mkdir()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**environment, _MARK: mark},
                cwd=here,
                start_new_session=True,
            )
        in_time = True
        try:
            child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            in_time = False
        finally:
            _end(child, mark)
        return Ended(
            status=-9 if child.returncode is None else child.returncode,  # the kernel holds it
            in_time=in_time,
            said=_read_end(out),
            complained=_read_end(err),
        )


def _end(child: subprocess.Popen[bytes], mark: str) -> None:
    if child.returncode is None:  # after it was reaped its number may be another's
        family = _children(child.pid)
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        _kill(family)
        with suppress(subprocess.TimeoutExpired):  # then the kernel holds it, and ends it later
            child.wait(_KILL_S)
    end = time.monotonic() + _KILL_S
    while (left := _marked(mark)) and time.monotonic() < end:  # one that forks while we kill
        _kill(left)
        psutil.wait_procs(left, timeout=0.1)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.environ().get(_MARK) == mark and _is_alive(process):
                found.append(process)
    return found


def _is_alive(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)


def _read_end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _KEPT_BYTES))
        return file.read().decode("utf-8", errors="replace")
