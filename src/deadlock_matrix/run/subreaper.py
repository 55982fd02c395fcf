"""Linux: a helper process that is the child subreaper of everything it starts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deadlock_matrix.capture import interval_timers
from deadlock_matrix.errors import RunError, StartError
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Leftovers, Signalled
from deadlock_matrix.run.process import Order

SCRIPT = Path(__file__).with_name("subreaper_script.py")
ANSWER_WITHIN_S = 20.0
ASKED_AT_ONCE = 500  # processes for their alarms, in one packet
PACKET = 1 << 20


class SubreaperSupervisor:
    """Talks to ``subreaper_script.py``; see there how a tree is ended.

    Should this process be killed, the helper reads end of file from its socket and ends the tree.
    """

    def __init__(self) -> None:
        """Start the helper; it is ready when the first order goes out."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        self._exit: Exited | Signalled | None = None
        self._main = 0
        self.started_s = 0.0
        self.ended_s = 0.0
        self.cpu_s = 0.0
        with theirs:
            self._helper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, order: Order) -> int:
        """See `Supervisor.start`."""
        if not self._ready:
            self._receive("ready")
            self._ready = True
        self._exit = None
        request = {
            "argv": order.command,
            "env": order.environment,
            "cwd": str(order.folder),
            "new_session": order.new_session,
        }
        # In a file: an environment may be larger than any packet.
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(request).encode())
            file.flush()
            self._send({"do": "spawn"}, (*order.streams, file.fileno()))
        answer = self._receive("started", "failed")
        if answer["event"] == "failed":
            raise StartError(f"{order.command[0]} could not be started: {answer['problem']}")
        self._main = answer["pid"]
        self.started_s = answer["at_s"]
        return self._main

    def wait(self, timeout_s: float) -> Exited | Signalled | None:
        """See `Supervisor.wait`."""
        if self._exit is None and self._main:
            self._channel.settimeout(max(timeout_s, 0.0001))
            try:
                packet = self._channel.recv(PACKET)
            except TimeoutError:
                return None
            self._take(packet)
        return self._exit

    def tree_roots(self) -> tuple[int, ...]:
        """See `Supervisor.tree_roots`."""
        try:
            text = Path(f"/proc/{self._helper.pid}/task/{self._helper.pid}/children").read_text()
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN: orphans are not seen there
            return (self._main,)
        others = {int(pid) for pid in text.split()} - {self._main}
        return (self._main, *sorted(others))

    def alarms(self, pids: Sequence[int]) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        """See `Supervisor.alarms`."""
        found: dict[str, float | str] = {}
        for at in range(0, len(pids), ASKED_AT_ONCE):
            some = list(pids[at : at + ASKED_AT_ONCE])
            self._send({"do": "alarms", "script": str(interval_timers.SCRIPT), "pids": some})
            found |= self._receive("alarms")["found"]
        return {pid: interval_timers.from_answer(found.get(str(pid), "")) for pid in pids}

    def end(self) -> Leftovers:
        """See `Supervisor.end`."""
        self._send({"do": "end"})
        answer = self._receive("ended")
        self._main = 0
        return Leftovers(ended=answer["ended"], alive=tuple(answer["alive"]))

    def release(self) -> None:
        """See `Supervisor.release`: the helper goes first, so nobody ends the tree."""
        self._send({"do": "release"})
        self._receive("released")
        self._main = 0

    def close(self) -> None:
        """See `Supervisor.close`."""
        self._channel.close()  # end of file: the helper ends the tree, then itself
        try:
            self._helper.wait(ANSWER_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            self._helper.wait()

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        try:
            socket.send_fds(self._channel, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            raise RunError(f"the helper that guards the probes is gone: {error}") from error

    def _receive(self, *events: str) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._helper.kill()  # its probe has it as parent-death signal: it goes too
                raise RunError(
                    f"the helper that guards the probes did not answer in {ANSWER_WITHIN_S} s"
                )
            self._channel.settimeout(remaining)
            try:
                message = self._take(self._channel.recv(PACKET))
            except TimeoutError:
                continue
            if message["event"] in events:
                return message

    def _take(self, packet: bytes) -> dict[str, Any]:
        if not packet:
            raise RunError("the helper that guards the probes has ended unexpectedly")
        message: dict[str, Any] = json.loads(packet)
        if message["event"] == "exited":
            status = message["status"]
            self.ended_s, self.cpu_s = message["at_s"], message["cpu_s"]
            self._exit = Signalled(signal=-status) if status < 0 else Exited(status=status)
        return message
