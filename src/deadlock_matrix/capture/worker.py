"""A helper process that answers JSON lines in bounded time, and is restarted if it fails."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

ANSWER_LIMIT = 1 << 28
GLANCE_S = 0.05
REAPED_WITHIN_S = 0.2
_OF_A_PROCESS = 2  # CPUCLOCK_SCHED: the kernel's clock of another process, clock_getcpuclockid(3)

_abandoned: list[subprocess.Popen[bytes]] = []
"""Helpers that SIGKILL has not ended yet: a wait for a dead file server outlasts it."""


class WorkerFailed(Exception):
    """There is no answer. The message says why."""


class Worker:
    """Owns one helper process. May be used from several threads; requests take turns.

    The helper gets no descriptors but its two pipes and those it is given, and its own ends are
    closed on exec, so no other child of this process keeps it alive. It ends when its standard
    input does.
    """

    def __init__(
        self,
        script: Path,
        name: str,
        *,
        descriptors: Sequence[int] = (),
        own_session: bool = True,
    ) -> None:
        """Prepare; no helper is started yet.

        Args:
            script: What the helper runs. Its first line of input is ``{"path": [...]}``, the module
                search path, with ``descriptors``, the numbers of the descriptors that it inherits.
            name: For messages: "the stack reader".
            descriptors: Those that it inherits; they stay open here.
            own_session: Whether it has its own session: signals to our group then do not reach it,
                and it is ended together with everything it has started. Otherwise it is ended with
                us.
        """
        self._script = script
        self._name = name
        self._descriptors = tuple(descriptors)
        self._own_session = own_session
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._unsent = b""
        self._turn = threading.Lock()

    def start(self) -> None:
        """Start the helper unless it runs. Do not wait until it is ready.

        Raises:
            WorkerFailed: It cannot be started.
        """
        with self._turn:
            self._ensure()

    def close(self) -> None:
        """End the helper. May be called twice."""
        with self._turn:
            self._end()

    def cpu_s(self) -> float:
        """Return the CPU seconds that the helper has used; 0 if none runs. For Linux."""
        if self._process is None or self._process.poll() is not None:
            return 0.0
        with suppress(OSError):
            return time.clock_gettime(~self._process.pid << 3 | _OF_A_PROCESS)
        return 0.0

    def ask(
        self, request: dict[str, Any], limit_s: float, check: Callable[[], None] = lambda: None
    ) -> bytes:
        """Send a request and wait for its answer, one line of JSON.

        Args:
            request: What is asked; ``limit_s`` is added to it, after which the helper ends itself.
            limit_s: Seconds.
            check: Called repeatedly meanwhile; what it raises ends the wait.

        Raises:
            WorkerFailed: No answer in time (the helper has then been killed), or it died.
        """
        with self._turn:
            self._ensure()
            try:
                return self._exchange({**request, "limit_s": limit_s}, limit_s, check)
            except BaseException:  # KeyboardInterrupt too, or the next request gets this answer
                self._end()
                raise

    def _ensure(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(self._script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                pass_fds=self._descriptors,
                start_new_session=self._own_session,
            )
        except OSError as error:
            raise WorkerFailed(f"{self._name} cannot be started: {error}") from None
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)  # only of our end of the pipe
        path = [str(Path(entry).absolute()) for entry in sys.path]
        self._unsent = msgspec.json.encode({"path": path, "descriptors": self._descriptors}) + b"\n"
        self._send()

    def _end(self) -> None:
        process, self._process = self._process, None
        self._buffer = self._unsent = b""
        if process is None:
            return
        if process.poll() is None and self._own_session:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(REAPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            _abandoned.append(process)
        _abandoned[:] = [each for each in _abandoned if each.poll() is None]

    def _send(self) -> None:
        """Send as much of what is unsent as the pipe has room for, without waiting."""
        assert self._process is not None and self._process.stdin is not None
        try:
            while self._unsent:
                written = os.write(self._process.stdin.fileno(), self._unsent)
                self._unsent = self._unsent[written:]
        except BlockingIOError:
            pass
        except OSError:
            raise WorkerFailed(f"{self._name} has died") from None

    def _exchange(
        self, request: dict[str, Any], limit_s: float, check: Callable[[], None]
    ) -> bytes:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + limit_s
        self._unsent += msgspec.json.encode(request) + b"\n"
        requests, output = process.stdin.fileno(), process.stdout.fileno()
        waiter = select.poll()  # not select(2), which fails above descriptor 1023
        waiter.register(output, select.POLLIN)
        waiter.register(requests, select.POLLOUT)
        sending = True
        parts = [self._buffer]
        size = 0
        while b"\n" not in parts[-1]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WorkerFailed(f"no answer from {self._name} within {limit_s:.1f} s")
            ready = dict(waiter.poll(min(left, GLANCE_S) * 1000))
            if sending and requests in ready:
                self._send()
                sending = bool(self._unsent)
                if not sending:
                    waiter.unregister(requests)
            if output not in ready:
                check()
                continue
            part = os.read(output, 1 << 20)
            size += len(part)
            if not part:
                raise WorkerFailed(f"{self._name} died over it")
            if size > ANSWER_LIMIT:
                raise WorkerFailed(f"the answer of {self._name} is too long")
            parts.append(part)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return line
