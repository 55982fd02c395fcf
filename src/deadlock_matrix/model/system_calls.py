"""The system calls that block: what each waits for, until when, on what, and who can end it.

This is the only table of them; "Changes that come up" in ``docs/architecture.md`` says what else a
new call needs. Source: the calls' manual pages, and, for the functions in which the kernel lets
them sleep, ``kernel/futex``, ``kernel/exit.c``, ``fs/pipe.c``, ``fs/select.c`` and
``fs/eventpoll.c``, from Linux 4 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

import msgspec

__all__ = ["BLOCKING", "BlockingCall", "Limit", "WaitsFor", "blocking"]


class WaitsFor(Enum):
    """What a call waits for."""

    WORD = "another value of a word in memory, which is what locks are made of"
    CHILD = "the end of a child process"
    READ = "data from a descriptor"
    WRITE = "room for data in a descriptor"
    TRANSFER = "data, or room for it, in one of two descriptors, or of one and memory"
    CONNECTION = "a connection that somebody makes to it"
    CONNECT = "a connection that it makes"
    EVENTS = "events of descriptors in an array or set of its own"
    EPOLL = "events of descriptors in a list that the kernel keeps"
    TIME = "a length of time"
    SIGNAL = "a signal"
    FILE_LOCK = "a lock of a file"
    MESSAGE = "a message queue or semaphores of System V or POSIX"
    IO_URING = "requests that the kernel works on"
    AIO = "the same, of the older interface that libaio uses"
    FILE = "a file to be opened"
    VFORK = "a child that uses its memory"
    RESTARTED = "what it waited for before it was interrupted"
    OTHER = "nothing that this table names"


class Limit(Enum):
    """How a call learns until when to wait."""

    NONE = "it has no time limit"
    OF_DESCRIPTOR = "a socket or a terminal may have one of its own; a pipe has none"
    MILLISECONDS = "an int among its arguments, negative for none"
    LENGTH = "a struct timespec that an argument points to, null for none"
    LENGTH_IN_MICROSECONDS = "the same as a struct timeval"
    INSTANT = "the same, of a clock: that of another argument, or CLOCK_REALTIME"
    BY_OPERATION = "another argument says which of these; see `capture.waits.timeout_of`"
    UNKNOWN = "not known"


Enders = Literal["threads", "child", "other-ends", "file-lock", "not-followed"]
"""Who could end a wait: threads that share the word, a child, whoever has a pipe's other end, or
whoever has taken a lock of a file.

``not-followed``: anybody, for all that a proof knows. Each of the others has one function that
reads its calls, see `proof.waits`, and that must know where their arguments are.
"""


class BlockingCall(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Positions count arguments from 0; -1 or nothing means that it has none of that kind.

    ``channels`` are parts of the names of the kernel functions in which the call sleeps. A frozen
    thread, one that waits for a page from a fault handler in user space, or for a supervisor that
    decides about its system calls, shows the call and sleeps, but elsewhere. Only calls with
    ``channels`` can be steps of a proof.
    """

    waits_for: WaitsFor
    limit: Limit = Limit.UNKNOWN
    limit_at: int = -1
    clock_at: int = -1
    descriptors_at: tuple[int, ...] = ()
    of_sockets: bool = False  # its descriptor is a socket, or the call fails
    count_at: int = -1  # how many descriptors there are
    arrays_at: tuple[int, ...] = ()  # pointers to arrays of them
    ended_by: Enders = "not-followed"
    channels: tuple[str, ...] = ()

    @property
    def polls(self) -> bool:
        """Whether it waits for events of several descriptors."""
        return self.waits_for in (WaitsFor.EVENTS, WaitsFor.EPOLL)


def _on_descriptor(
    waits_for: WaitsFor, *, of_sockets: bool = False, provable: bool = False
) -> BlockingCall:
    return BlockingCall(
        waits_for=waits_for,
        limit=Limit.OF_DESCRIPTOR,
        descriptors_at=(0,),
        of_sockets=of_sockets,
        ended_by="other-ends" if provable else "not-followed",
        channels=("pipe_",) if provable else (),
    )


def _on_file_lock(limit: Limit) -> BlockingCall:
    return BlockingCall(
        waits_for=WaitsFor.FILE_LOCK,
        limit=limit,
        descriptors_at=(0,),
        ended_by="file-lock",
        channels=("_lock_inode", "do_lock_file_wait", "fcntl_setlk"),
    )


def _select(limit: Limit) -> BlockingCall:
    return BlockingCall(
        waits_for=WaitsFor.EVENTS,
        limit=limit,
        limit_at=4,
        count_at=0,
        arrays_at=(1, 2, 3),
        ended_by="other-ends",
        channels=_IN_POLL,
    )


def _poll(limit: Limit) -> BlockingCall:
    return BlockingCall(
        waits_for=WaitsFor.EVENTS,
        limit=limit,
        limit_at=2,
        count_at=1,
        arrays_at=(0,),
        ended_by="other-ends",
        channels=_IN_POLL,
    )


def _epoll(limit: Limit) -> BlockingCall:
    return BlockingCall(
        waits_for=WaitsFor.EPOLL,
        limit=limit,
        limit_at=3,
        descriptors_at=(0,),
        ended_by="other-ends",
        channels=("epoll", "ep_poll"),
    )


def _endless(waits_for: WaitsFor) -> BlockingCall:
    return BlockingCall(waits_for=waits_for, limit=Limit.NONE)


_IN_POLL = ("poll", "select")
_CHILD = BlockingCall(
    waits_for=WaitsFor.CHILD, limit=Limit.NONE, ended_by="child", channels=("do_wait",)
)
_READ = _on_descriptor(WaitsFor.READ, provable=True)
_WRITE = _on_descriptor(WaitsFor.WRITE, provable=True)
_READ_AT = _on_descriptor(WaitsFor.READ)
_WRITE_AT = _on_descriptor(WaitsFor.WRITE)
_RECEIVE = _on_descriptor(WaitsFor.READ, of_sockets=True)
_SEND = _on_descriptor(WaitsFor.WRITE, of_sockets=True)
_BETWEEN = BlockingCall(waits_for=WaitsFor.TRANSFER, descriptors_at=(0, 1))
_BETWEEN_PLACES = BlockingCall(waits_for=WaitsFor.TRANSFER, descriptors_at=(0, 2))
_ACCEPT = _on_descriptor(WaitsFor.CONNECTION, of_sockets=True)
_QUEUE_BY_INSTANT = BlockingCall(waits_for=WaitsFor.MESSAGE, limit=Limit.INSTANT, limit_at=4)
_AIO = BlockingCall(waits_for=WaitsFor.AIO, limit=Limit.LENGTH, limit_at=4)
_OPEN = BlockingCall(waits_for=WaitsFor.FILE)

BLOCKING: Mapping[str, BlockingCall] = {
    "futex": BlockingCall(
        waits_for=WaitsFor.WORD,
        limit=Limit.BY_OPERATION,
        limit_at=3,
        ended_by="threads",
        channels=("futex",),
    ),
    "futex_wait": BlockingCall(
        waits_for=WaitsFor.WORD, limit=Limit.INSTANT, limit_at=4, clock_at=5
    ),
    "futex_waitv": BlockingCall(
        waits_for=WaitsFor.WORD, limit=Limit.INSTANT, limit_at=3, clock_at=4
    ),
    "wait4": _CHILD,
    "waitid": _CHILD,
    "read": _READ,
    "readv": _READ,
    "write": _WRITE,
    "writev": _WRITE,
    "pread64": _READ_AT,
    "preadv": _READ_AT,
    "preadv2": _READ_AT,
    "pwrite64": _WRITE_AT,
    "pwritev": _WRITE_AT,
    "pwritev2": _WRITE_AT,
    "tee": _BETWEEN,
    "sendfile": _BETWEEN,
    "splice": _BETWEEN_PLACES,
    "copy_file_range": _BETWEEN_PLACES,
    "vmsplice": BlockingCall(waits_for=WaitsFor.TRANSFER, descriptors_at=(0,)),
    "recvfrom": _RECEIVE,
    "recvmsg": _RECEIVE,
    "recvmmsg": _RECEIVE,  # it looks at its timeout only when a message has come
    "sendto": _SEND,
    "sendmsg": _SEND,
    "sendmmsg": _SEND,
    "connect": _on_descriptor(WaitsFor.CONNECT, of_sockets=True),
    "accept": _ACCEPT,
    "accept4": _ACCEPT,
    "poll": _poll(Limit.MILLISECONDS),
    "ppoll": _poll(Limit.LENGTH),
    "select": _select(Limit.LENGTH_IN_MICROSECONDS),
    "pselect6": _select(Limit.LENGTH),
    "epoll_wait": _epoll(Limit.MILLISECONDS),
    "epoll_pwait": _epoll(Limit.MILLISECONDS),
    "epoll_pwait2": _epoll(Limit.LENGTH),
    "nanosleep": BlockingCall(waits_for=WaitsFor.TIME, limit=Limit.LENGTH, limit_at=0),
    "clock_nanosleep": BlockingCall(
        waits_for=WaitsFor.TIME, limit=Limit.BY_OPERATION, limit_at=2, clock_at=0
    ),
    "pause": _endless(WaitsFor.SIGNAL),
    "rt_sigsuspend": _endless(WaitsFor.SIGNAL),
    "rt_sigtimedwait": BlockingCall(waits_for=WaitsFor.SIGNAL, limit=Limit.LENGTH, limit_at=2),
    "flock": _on_file_lock(Limit.NONE),
    "fcntl": _on_file_lock(Limit.BY_OPERATION),
    "semop": _endless(WaitsFor.MESSAGE),
    "semtimedop": BlockingCall(waits_for=WaitsFor.MESSAGE, limit=Limit.LENGTH, limit_at=3),
    "msgrcv": _endless(WaitsFor.MESSAGE),
    "msgsnd": _endless(WaitsFor.MESSAGE),
    "mq_timedreceive": _QUEUE_BY_INSTANT,
    "mq_timedsend": _QUEUE_BY_INSTANT,
    "io_uring_enter": BlockingCall(waits_for=WaitsFor.IO_URING),
    "io_getevents": _AIO,
    "io_pgetevents": _AIO,
    "open": _OPEN,
    "openat": _OPEN,
    "fork": _endless(WaitsFor.OTHER),  # it has its child at once
    "vfork": _endless(WaitsFor.VFORK),
    "clone": _endless(WaitsFor.VFORK),
    "clone3": _endless(WaitsFor.VFORK),
    "restart_syscall": BlockingCall(waits_for=WaitsFor.RESTARTED),
}

_UNLISTED = BlockingCall(waits_for=WaitsFor.OTHER)


def blocking(name: str) -> BlockingCall:
    """Return the row of a call; for one that the table lacks, a row that knows nothing."""
    return BLOCKING.get(name, _UNLISTED)
