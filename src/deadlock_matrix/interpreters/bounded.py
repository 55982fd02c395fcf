"""A process that may hang, start others or hide from us: bounded, and ended with all it started."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

_MARK = "DEADLOCK_MATRIX_BOUNDED"
"""A variable that identifies descendants, even those that left family and session."""

SCRATCH_VARIABLE = "DEADLOCK_MATRIX_SCRATCH"
"""Where to write files that must not outlive a run, even a killed one; without it, as always."""

_PR_SET_PDEATHSIG = 1
_KEPT_BYTES = 1 << 20
_LOOK_S = 0.02
_KILL_S = 5.0  # that the kernel has to end what was killed


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the process, and what it wrote: the last MiB, or all if it was limited.

    ``status`` is its exit status, or the negated number of the signal that ended it. ``in_time`` is
    false if it was ended because its time was up, ``in_limit`` if it had printed more than allowed.
    """

    status: int
    in_time: bool
    in_limit: bool
    output: bytes
    complained: str

    @property
    def said(self) -> str:
        """Its standard output as text."""
        return _text(self.output)

    @property
    def words(self) -> str:
        """The end of its complaint, or of its output, on one line."""
        words = " ".join((self.complained or self.said).split()) or "it said nothing"
        return words if len(words) <= 300 else "... " + words[-300:]


def run_bounded(
    command: Sequence[str],
    environment: Mapping[str, str],
    deadline_s: float,
    *,
    folder: str = "",
    limit: int | None = None,
) -> Ended:
    """Start ``command`` in a session of its own, and wait until it ends.

    Whatever it started is ended with it, even what outlives it. Only a descendant is missed that
    has lost its parent and left the session, *and* has another environment or hides it from us.
    Killing may take some seconds more than the deadline.

    Args:
        command: An executable and its arguments.
        environment: All its variables.
        deadline_s: Seconds after which it is ended.
        folder: Where it is run; without it, in an empty folder that is removed afterwards.
        limit: Bytes of standard output after which it is ended, too.

    Raises:
        OSError, ValueError: It cannot be started.
    """
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(
        prefix="deadlock-matrix-",
        dir=scratch_folder(),
        ignore_cleanup_errors=True,
    ) as scratch:
        # Into files: nobody who holds a pipe open can make us wait.
        out, err, here = (Path(scratch, name) for name in ("out", "err", "here"))
        here.mkdir()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**environment, _MARK: mark},
                cwd=folder or here,
                start_new_session=True,
                preexec_fn=_end_with_us,
            )
        try:
            in_time = _wait(child, out, deadline_s, limit)
        finally:
            _end(child, mark)
        return Ended(
            status=-9 if child.returncode is None else child.returncode,  # the kernel holds it
            in_time=in_time,
            in_limit=_is_within(out, limit),
            output=_read_end(out, _KEPT_BYTES if limit is None else limit),
            complained=_text(_read_end(err, _KEPT_BYTES)),
        )


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)  # loaded here: nothing may be loaded between fork and exec

    def _tie() -> None:
        """Between fork and exec: have the kernel kill us when the thread that waits is gone."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    _end_with_us: Callable[[], None] | None = _tie
else:
    _end_with_us = None


def scratch_folder() -> str | None:
    """Return where to write what must not outlive this run; ``None`` for the usual place."""
    return os.environ.get(SCRATCH_VARIABLE)


def end_descendants() -> None:
    """End every process that descends from this one, so that no thread has to wait for one."""
    end = time.monotonic() + _KILL_S
    while (left := _children(os.getpid())) and time.monotonic() < end:  # a thread may start another
        _kill(left)
        time.sleep(_LOOK_S)


def _wait(child: subprocess.Popen[bytes], out: Path, deadline_s: float, limit: int | None) -> bool:
    """Wait until it ends, or prints too much; return whether that was in time."""
    end = time.monotonic() + deadline_s
    step = deadline_s if limit is None else min(_LOOK_S, deadline_s)
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(step)
            return True
        if not _is_within(out, limit):
            return True
        if time.monotonic() >= end:
            return False


def _is_within(out: Path, limit: int | None) -> bool:
    return limit is None or out.stat().st_size <= limit


def _end(child: subprocess.Popen[bytes], mark: str) -> None:
    if child.returncode is None:  # once it is reaped, its number may be another's
        family = _children(child.pid)
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        _kill(family)
        with suppress(subprocess.TimeoutExpired):  # then the kernel holds it, and ends it later
            child.wait(_KILL_S)
    end = time.monotonic() + _KILL_S
    while (left := _marked(mark)) and time.monotonic() < end:  # one may fork while we kill
        _kill(left)
        psutil.wait_procs(left, timeout=0.1)


def _children(pid: int) -> list[psutil.Process]:
    """Return the descendants of a process, except those that only wait to be reaped."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if _is_alive(process):
                    found.append(process)
    return found


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


def _read_end(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        return file.read()


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
