"""The parent's signals: it waits for its child, and passes on what was meant for the session."""

from __future__ import annotations

import contextlib
import os
import signal
import time


class Signals:
    """Waits for the child's end, and passes on signals that reached us and not it.

    A Ctrl-C in the terminal reaches both (the kernel is its sender), ``kill`` reaches only us.
    """

    HANDED_ON = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"})
    FROM_KERNEL = 0x80  # SI_KERNEL

    def __init__(self, child: int) -> None:
        """Begin to wait for ``child``, the process that goes on as pytest."""
        self._child = child
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wanted = {getattr(signal, name) for name in self.HANDED_ON}
        self._wanted = {number for number in wanted if signal.getsignal(number) != signal.SIG_IGN}
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._wanted | {signal.SIGCHLD})

    def close(self) -> None:
        """Handle signals as before."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, timeout_s: float) -> int | None:
        """Wait at most this long.

        Returns:
            The child's exit status, negative for a signal; None while it runs.
        """
        if hasattr(signal, "sigtimedwait"):
            got = signal.sigtimedwait(self._wanted | {signal.SIGCHLD}, timeout_s)
            if got is not None and got.si_signo in self._wanted and got.si_code != self.FROM_KERNEL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._child, got.si_signo)
        else:  # macOS
            time.sleep(timeout_s)
        pid, status = os.waitpid(self._child, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None
