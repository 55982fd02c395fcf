"""What a thread does, in words: for people, never for a proof."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.model.evidence import OnCpu, OutsideSystemCall, SystemCall, ThreadFacts
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.proof.words import base_name, enumeration
from deadlock_matrix.proof.world import Key, World

_READS = frozenset({"read", "readv", "recvfrom", "recvmsg", "pread64"})
_WRITES = frozenset({"write", "writev", "sendto", "sendmsg", "pwrite64"})
OF_SOCKETS = frozenset({"recvfrom", "recvmsg", "sendto", "sendmsg", "connect"})
_POLLS = frozenset(
    {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"}
)
_TERMINAL = ("/dev/pts/", "/dev/tty", "/dev/console")


def activity_of(world: World, key: Key) -> str:
    """``reads from socket:[123]``, ``waits for a lock, in wait (threading.py:327)``."""
    thread = world.threads[key]
    if thread.state == "T":
        return stopped(world, key)
    call = _call(thread)
    if call is None:
        return _without_call(thread)
    target = _in_words(world, key, call)
    if call.name in _READS:
        return f"reads from {target}{_in_python(world, key, target)}"
    if call.name in _WRITES:
        return f"writes to {target}"
    if call.name == "connect":
        return f"connects {target}"
    if call.name in _POLLS:
        return "waits for events of files or sockets"
    if call.name in ("wait4", "waitid"):
        return "waits for the end of a child process"
    if call.name == "futex":
        stack = world.stack_by_thread.get(key)
        inner = stack.python[-1] if stack is not None and stack.python else None
        where = f", in {inner.function} ({base_name(inner.file)}:{inner.line})" if inner else ""
        return f"waits for a lock{where}"
    return f"is in the system call {call.name}"


def stopped(world: World, key: Key) -> str:
    """A stop, and what is known about its cause.

    The kernel tells the signal (``exit_code`` in ``/proc/PID/stat``) until the parent has asked for
    it. What job control stops stands, besides, in the call that its terminal refused.
    """
    fact = world.after[key[0]].stopped_by
    name = signal_name(fact.value) if isinstance(fact, Known) else ""
    call = _call(world.threads[key])
    target = _target(world, key, call.arguments[0]) if call is not None else ""
    terminal = target if target.startswith(_TERMINAL) else "its terminal"
    at_terminal = call is not None and target.startswith(_TERMINAL)
    if name == "SIGTTOU" or (not name and at_terminal and _changes(call)):
        return _by_job_control("SIGTTOU", bool(name), f"changes or writes to {terminal}")
    if name == "SIGTTIN" or (not name and at_terminal and call and call.name in _READS):
        return _by_job_control("SIGTTIN", bool(name), f"reads from {terminal}")
    if name == "SIGTSTP":
        return "is stopped by SIGTSTP (Ctrl-Z); fg, or SIGCONT, lets it go on"
    if name:
        return f"is stopped by {name}; SIGCONT lets it go on"
    return "is stopped by a signal; SIGCONT lets it go on"


def _by_job_control(name: str, known: bool, why: str) -> str:
    how = f"by {name}" if known else f"by a signal, {name} by all appearances"
    return (
        f"is stopped {how}: job control stops a background process that {why}; run it in the "
        "foreground, or without a terminal"
    )


def _changes(call: SystemCall | None) -> bool:
    return call is not None and (call.name == "ioctl" or call.name in _WRITES)


def _call(thread: ThreadFacts) -> SystemCall | None:
    activity = thread.activity
    if isinstance(activity, Known) and isinstance(activity.value, SystemCall):
        return activity.value
    return None


def _without_call(thread: ThreadFacts) -> str:
    activity = thread.activity
    if isinstance(activity, Known) and isinstance(activity.value, OnCpu):
        return "is running"
    if isinstance(activity, Known) and isinstance(activity.value, OutsideSystemCall):
        return "is blocked outside a system call"
    return "sleeps" if thread.state == "S" else f"is in state {thread.state}"


def _in_words(world: World, key: Key, call: SystemCall) -> str:
    """What a call is about, with what is known of a socket's other end."""
    target = _target(world, key, call.arguments[0])
    if not target.startswith("socket:["):
        return f"a socket ({target})" if call.name in OF_SOCKETS else target
    peers = world.after[key[0]].peers
    for peer in peers.value if isinstance(peers, Known) else ():
        if peer.socket != target:
            continue
        if peer.protocol == "TCP":
            return f"a TCP socket, connected to {peer.other}"
        pids = [f"process {pid}" for pid in sorted(_who_has(world, peer.other))]
        who = enumeration(pids) if pids else "somebody outside of this tree of processes"
        return f"a Unix socket, whose other end {who} has"
    return f"a socket ({target})"


def _who_has(world: World, target: str) -> Iterator[int]:
    for pid, process in world.after.items():
        descriptors = process.descriptors
        if isinstance(descriptors, Known) and any(d.target == target for d in descriptors.value):
            yield pid


def _in_python(world: World, key: Key, target: str) -> str:
    """That Python has set no timeout, where a socket of Python's is read.

    With one it waits in ``poll`` first (``sock_call_ex`` in ``Modules/socketmodule.c``).
    """
    stack = world.stack_by_thread.get(key)
    inner = stack.python[-1].file if stack is not None and stack.python else ""
    of_socket = base_name(inner) in ("socket.py", "ssl.py") and "socket" in target
    return ", with no timeout set" if of_socket else ""


def _target(world: World, key: Key, number: int) -> str:
    descriptors = world.after[key[0]].descriptors
    for each in descriptors.value if isinstance(descriptors, Known) else ():
        if each.number == number:
            return each.target
    return f"descriptor {number}"
