"""What a thread does, in words: for people, never for a proof."""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import (
    OnCpu,
    OutsideSystemCall,
    SystemCall,
    ThreadFacts,
    TimeLimit,
)
from deadlock_matrix.proof.awaited import awaited_object, phrase_of_object
from deadlock_matrix.proof.python_locks import inside_of, lock_of, phrase_of_lock
from deadlock_matrix.proof.shared_words import holder_of_semaphore
from deadlock_matrix.proof.words import base_name, duration, enumeration
from deadlock_matrix.proof.world import Key, World

NAMED = {
    WaitsFor.TIME: "sleeps",
    WaitsFor.CONNECTION: "waits for a connection",
    WaitsFor.SIGNAL: "waits for a signal",
    WaitsFor.IO_URING: "waits for io_uring",
    WaitsFor.AIO: "waits for asynchronous reads or writes (libaio)",
}
"""Waits about which no more is said: as what a thread does, and as why it is in no proof."""
_UNTIL_OPENED = ("wait_for_partner", "fifo_open")
"""The kernel function that waits for the other end, or its caller if it was inlined (fs/pipe.c)."""

_TERMINAL = ("/dev/pts/", "/dev/tty", "/dev/console")


def activity_of(world: World, key: Key) -> str:
    """Return ``reads from socket:[1]``, ``waits for an item in Queue 0x7f.. in take (m.py:3)``.

    What the program calls it comes first; where that does not tell all, the kernel's view follows.
    """
    thread = world.threads[key]
    if thread.state == "T":
        return stopped(world, key)
    call = _call(thread)
    if call is None:
        return _without_call(thread)
    waited = awaited_object(world, key)
    told = _in_kernel(world, key, call)
    if waited is not None:
        row = blocking(call.name)
        of_kernel = row.waits_for is not WaitsFor.WORD and not row.polls
        told = phrase_of_object(waited) + (f": {told}" if of_kernel else "")
        told += _inside_block_of(world, waited.semaphore)
    return told + _until(thread)


def _inside_block_of(world: World, semaphore: str) -> str:
    """Say who has a lock that processes share, if a ``with`` block shows it."""
    holder = holder_of_semaphore(world, semaphore)
    if holder is None:
        return ""
    key, block = holder
    return f", held by {world.name(key)} ({inside_of(block)})"


def _in_kernel(world: World, key: Key, call: SystemCall) -> str:
    row = blocking(call.name)
    match row.waits_for:
        case WaitsFor.READ:
            target = _in_words(world, key, call)
            return f"reads from {target}{_in_python(world, key, target)}"
        case WaitsFor.WRITE:
            return f"writes to {_in_words(world, key, call)}"
        case WaitsFor.CONNECT:
            return f"connects {_in_words(world, key, call)}"
        case WaitsFor.CHILD:
            return "waits for the end of a child process"
        case WaitsFor.EVENTS if call.arguments[row.count_at] == 0:
            return "sleeps"  # on no descriptor, as Python does up to 3.10
        case WaitsFor.EVENTS | WaitsFor.EPOLL:
            return f"waits for events of files or sockets{_place(world, key)}"
        case WaitsFor.FILE:
            return _opens(world.threads[key]) + _place(world, key)
        case WaitsFor.FILE_LOCK:
            return file_lock(world, key)
        case WaitsFor.WORD:
            lock = lock_of(world, key)
            return phrase_of_lock(lock) if lock else f"waits for a lock{_place(world, key)}"
    if row.waits_for in NAMED:
        return NAMED[row.waits_for] + _place(world, key)
    return f"is in the system call {call.name}{_place(world, key)}"


def _opens(thread: ThreadFacts) -> str:
    channel = thread.wait_channel
    if isinstance(channel, Known) and channel.value in _UNTIL_OPENED:
        return "opens a FIFO, and waits until somebody opens its other end"
    return "opens a file"


def _place(world: World, key: Key) -> str:
    stack = world.stack_by_thread.get(key)
    inner = stack.python[-1] if stack is not None and stack.python else None
    return f", in {inner.function} ({base_name(inner.file)}:{inner.line})" if inner else ""


def _until(thread: ThreadFacts) -> str:
    """Describe the time limit of its wait."""
    timeout = thread.timeout
    if not isinstance(timeout, Known) or not isinstance(timeout.value, TimeLimit):
        return ""
    due = timeout.value.due_s
    return (
        f", for at most {duration(due.value)}" if isinstance(due, Known) else ", with a time limit"
    )


def file_lock(world: World, key: Key) -> str:
    """Return ``waits for a lock of the file /srv/db (flock), which process 12 has``."""
    fact = world.after[key[0]].file_locks
    if not isinstance(fact, Known) or not fact.value:
        reason = (
            f" (who holds it is not known: {fact.reason})" if not isinstance(fact, Known) else ""
        )
        return f"waits for a file lock{reason}"
    lock = fact.value[0]
    pids = [f"process {pid}" if pid > 0 else "somebody" for pid in lock.holders]
    who = f", taken by {enumeration(pids)}" if pids else ""
    if pids and set(lock.ended) >= set(lock.holders):
        who += (
            ", which has ended and left it to whoever else has the file "
            f"open{_also_open(world, lock.path)}"
        )
    return f"waits for a lock ({lock.kind}) of the file {lock.path}{who}"


def _also_open(world: World, path: str) -> str:
    """Name the processes of the tree that have a file open, as `` (process 12)``."""
    pids = [f"process {pid}" for pid in sorted(world.who_has.get(path, ()))]
    return f" ({enumeration(pids)})" if pids else ""


def stopped(world: World, key: Key) -> str:
    """Describe a stop, and what is known about its cause.

    The kernel shows the signal (``exit_code`` in ``/proc/PID/stat``) until the parent has asked for
    it. A thread that job control stops is, besides, in the call that its terminal refused.
    """
    fact = world.after[key[0]].stopped_by
    name = signal_name(fact.value) if isinstance(fact, Known) else ""
    call = _call(world.threads[key])
    target = _target(world, key, call.arguments[0]) if call is not None else ""
    terminal = target if target.startswith(_TERMINAL) else "its terminal"
    at_terminal = call is not None and target.startswith(_TERMINAL)
    if name == "SIGTTOU" or (not name and at_terminal and _changes(call)):
        return _by_job_control("SIGTTOU", bool(name), f"changes or writes to {terminal}")
    if name == "SIGTTIN" or (not name and at_terminal and call and _reads(call)):
        return _by_job_control("SIGTTIN", bool(name), f"reads from {terminal}")
    if name == "SIGTSTP":
        return "is stopped by SIGTSTP (Ctrl-Z); fg or SIGCONT continues it"
    if name:
        return f"is stopped by {name}; SIGCONT continues it"
    return "is stopped by a signal; SIGCONT continues it"


def _by_job_control(name: str, known: bool, why: str) -> str:
    how = f"by {name}" if known else f"by a signal, probably {name}"
    return (
        f"is stopped {how}: job control stops a background process that {why}; run it in the "
        "foreground, or without a terminal"
    )


def _reads(call: SystemCall) -> bool:
    return blocking(call.name).waits_for is WaitsFor.READ


def _changes(call: SystemCall | None) -> bool:
    return call is not None and (
        call.name == "ioctl" or blocking(call.name).waits_for is WaitsFor.WRITE
    )


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
    """Say what a call is about, with what is known of a socket's other end."""
    target = _target(world, key, call.arguments[0])
    if not target.startswith("socket:["):
        return f"a socket ({target})" if blocking(call.name).of_sockets else target
    peer = world.peers.get(key[0], {}).get(target)
    if peer is None:
        return f"a socket ({target})"
    if peer.protocol == "TCP":
        connects = blocking(call.name).waits_for is WaitsFor.CONNECT
        return f"a TCP socket{' to' if connects else ', connected to'} {peer.other}"
    pids = [f"process {pid}" for pid in sorted(world.who_has.get(peer.other, ()))]
    who = enumeration(pids) if pids else "a process outside this process tree"
    return f"a Unix socket, connected to {who}"


def _in_python(world: World, key: Key, target: str) -> str:
    """Say that Python has set no timeout, if a socket of Python's is read.

    With a timeout it would first wait in ``poll`` (``sock_call_ex`` in ``Modules/socketmodule.c``).
    """
    stack = world.stack_by_thread.get(key)
    inner = stack.python[-1].file if stack is not None and stack.python else ""
    of_socket = base_name(inner) in ("socket.py", "ssl.py") and "socket" in target
    return ", with no timeout set" if of_socket else ""


def _target(world: World, key: Key, number: int) -> str:
    return world.targets.get(key[0], {}).get(number, f"descriptor {number}")
