"""Linux: a helper process that is the child subreaper of everything it starts."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deadlock_matrix.capture import interval_timers
from deadlock_matrix.errors import NotFound, RunError, StartError
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Leftovers, Signalled
from deadlock_matrix.run.process import Order, Supervisor

SCRIPT = Path(__file__).with_name("subreaper_script.py")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ANSWER_WITHIN_S = 20.0
ASKED_AT_ONCE = 500  # for their alarms, in one packet
PACKET = 1 << 20
GUARD_ENDS_WITHIN_S = 12.0  # a tree that resists
KILLED_WITHIN_S = 2.0
ORPHANS_PATIENCE_S = 0.05


class SubreaperSupervisor(Supervisor):
    """Talks to ``subreaper_script.py``; see there how a tree is ended.

    If this process is killed, the helper reads end of file from its socket and ends the tree.
    """

    def __init__(self) -> None:
        """Start the helper; it is ready when the first order goes out."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        self._exit: Exited | Signalled | None = None
        self._alone = False  # nobody was left of the tree when the main process had ended
        self._main = 0
        self._guarded = 0  # the helper itself; the process we started is its guard
        self._guarded_handle = -1
        with theirs:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._ready = False

    def start(self, order: Order) -> int:
        """See `Supervisor.start`."""
        if not self._ready:
            self._guarded = self._receive("ready")["pid"]
            self._guarded_handle = os.pidfd_open(self._guarded)
            self._ready = True
        self._exit, self._alone = None, False
        request = {
            "argv": order.command,
            "env": order.environment,
            "cwd": str(order.folder),
            "new_session": order.new_session,
            "may_outlive": order.may_outlive,
            "numbers": order.further,
        }
        # In a file: an environment may be larger than any packet. It exists only in memory.
        with os.fdopen(os.memfd_create("order"), "w+b") as file:
            file.write(json.dumps(request).encode())
            file.flush()
            self._send({"do": "spawn"}, (*order.streams, *order.further, file.fileno()))
        answer = self._receive("started", "failed")
        if answer["event"] == "failed":
            kind = NotFound if answer["missing"] else StartError
            raise kind(f"{order.command[0]} could not be started: {answer['problem']}")
        self._main = answer["pid"]
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
            text = Path(f"/proc/{self._guarded}/task/{self._guarded}/children").read_text()
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN: orphans are not seen there
            return (self._main,)
        others = {int(pid) for pid in text.split()} - {self._main}
        return (self._main, *sorted(others))

    def alarms(
        self, pids: Sequence[int], within_s: float
    ) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        """See `Supervisor.alarms`."""
        found: dict[str, float | str] = {}
        end = time.monotonic() + within_s
        for at in range(0, len(pids), ASKED_AT_ONCE):
            some = list(pids[at : at + ASKED_AT_ONCE])
            left = max(0.0, end - time.monotonic())
            script = str(interval_timers.SCRIPT)
            self._send({"do": "alarms", "script": script, "pids": some, "within_s": left})
            found |= self._receive("alarms")["found"]
        return {pid: interval_timers.from_answer(found.get(str(pid), "")) for pid in pids}

    def end(self) -> Leftovers:
        """See `Supervisor.end`."""
        self._main = 0
        if self._alone:
            return Leftovers(ended=0, alive=())
        self._send({"do": "end"})
        answer = self._receive("ended")
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
            self._guard.wait(ANSWER_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._give_up()
            try:
                self._guard.wait(GUARD_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                # In uninterruptible sleep it outlasts SIGKILL; subprocess reaps it when it can.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._guard.wait(KILLED_WITHIN_S)
        if self._guarded_handle >= 0:
            os.close(self._guarded_handle)
            self._guarded_handle = -1

    def _give_up(self) -> None:
        """End a helper that does not answer: its guard, once it runs again, ends the tree."""
        if self._guarded_handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._guarded_handle, signal.SIGKILL)
        self._guard.send_signal(signal.SIGCONT)

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        try:
            self._channel.settimeout(ANSWER_WITHIN_S)
            socket.send_fds(self._channel, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            raise RunError(f"the helper that guards the probes is gone: {error}") from error

    def _receive(self, *events: str) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._give_up()
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
            self._exit = Signalled(signal=-status) if status < 0 else Exited(status=status)
            self._alone = message["alone"]
        return message


def end_with_parent(parent: int) -> None:
    """Have the kernel kill us when our parent ends in any way; our helper then ends its tree.

    Args:
        parent: Its id. Any other parent, such as one on another machine, cannot be followed.
    """
    if os.getppid() == parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Adopt whoever is left of a tree, should even the helper and its guard be killed."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans() -> None:
    """End all our descendants, for a process that no longer has others.

    The helper and its guard have tried before: a process in uninterruptible sleep is left alone.
    """
    script = runpy.run_path(str(SCRIPT))
    supervisor = script["Supervisor"](None, (), ())
    if script["descendants"]():
        supervisor.end(ORPHANS_PATIENCE_S)
