"""Signals by name, as Linux numbers them on x86-64 and aarch64.

The table is our own, because evidence is judged on other systems too, whose numbers differ.
"""

from __future__ import annotations

_NAMES = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
    "SIGCANCEL",
    "SIGSETXID",
]

FIRST_REALTIME, LAST_REALTIME = 34, 64
"""As glibc counts them: 32 and 33 are its own (``SIGCANCEL``, ``SIGSETXID``)."""


def signal_name(number: int) -> str:
    """Return a signal's name: ``SIGTERM`` for 15, ``SIGRTMIN+2`` for 36."""
    if 1 <= number <= len(_NAMES):
        return _NAMES[number - 1]
    if number == FIRST_REALTIME:
        return "SIGRTMIN"
    if FIRST_REALTIME < number <= LAST_REALTIME:
        return f"SIGRTMIN+{number - FIRST_REALTIME}"
    return f"signal {number}"
