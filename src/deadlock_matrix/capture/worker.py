"""A helper process that answers JSON lines, bounded in time and started anew when it fails."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("stacks_worker.py")
ANSWER_LIMIT = 1 << 26


class WorkerFailed(Exception):
    """No answer: why."""


class Worker:
    """Owns one helper process. May be used from several threads; requests take turns.

    The helper gets no descriptor but its two pipes, and its own ends are closed on exec, so no
    other child of this process keeps it alive. It ends at the end of its standard input.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._turn = threading.Lock()

    def start(self) -> None:
        """Starts the helper unless it runs. Does not wait for it to be ready.

        Raises:
            WorkerFailed: it cannot be started.
        """
        with self._turn:
            self._ensure()

    def close(self) -> None:
        """Ends the helper. May be called twice."""
        with self._turn:
            self._end()

    def ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
            WorkerFailed: no answer in time (the helper has then been killed), or it died.
        """
        with self._turn:
            self._ensure()
            try:
                return self._exchange({**request, "limit_s": limit_s}, limit_s)
            except BaseException:  # KeyboardInterrupt too: the next answer would be this one's
                self._end()
                raise

    def _ensure(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                start_new_session=True,  # signals to our group are not for it
            )
        except OSError as error:
            raise WorkerFailed(f"the stack reader cannot be started: {error}") from None
        path = [str(Path(entry).absolute()) for entry in sys.path]
        self._send(json.dumps({"path": path}).encode() + b"\n")

    def _end(self) -> None:
        process, self._process, self._buffer = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except OSError:
            raise WorkerFailed("the stack reader has died") from None

    def _exchange(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + limit_s
        self._send(json.dumps(request).encode() + b"\n")
        output = self._process.stdout.fileno()
        waiter = select.poll()  # not select(2), which fails above descriptor 1023
        waiter.register(output, select.POLLIN)
        parts = [self._buffer]
        size = 0
        while b"\n" not in parts[-1]:
            left = deadline - time.monotonic()
            if left <= 0 or not waiter.poll(left * 1000):
                raise WorkerFailed(f"no answer from the stack reader within {limit_s:g} s")
            part = os.read(output, 1 << 16)
            size += len(part)
            if not part:
                raise WorkerFailed("the stack reader died over it")
            if size > ANSWER_LIMIT:
                raise WorkerFailed("the stack reader's answer is too long")
            parts.append(part)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
