"""What a thread does, in words for people."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    UNKNOWN,
    call,
    evidence,
    frame,
    in_call,
    pipe_ends,
    process,
    stack,
    stacks,
    thread,
)

from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import Descriptor, Peer
from deadlock_matrix.model.thread_facts import OnCpu
from deadlock_matrix.proof.activity import activity_of
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.world import index

TCSETSF = 0x5404
TERMINAL = known((Descriptor(number=4, target="/dev/pts/3", access="rw"),), "fd")


def activity(doing: Any, **facts: Any) -> str:
    return activity_of(index(evidence(process(doing, **facts))), (1, 1))


@pytest.mark.parametrize(
    ("doing", "said"),
    [
        (in_call(1, "recvfrom", 4), "reads from a socket (pipe:[9])"),
        (in_call(1, "read", 5), "reads from descriptor 5"),
        (in_call(1, "write", 4), "writes to pipe:[9]"),
        (in_call(1, "epoll_wait", 4), "waits for events of files or sockets"),
        (in_call(1, "wait4", 0), "waits for the end of a child process"),
        (in_call(1, "futex", 0), "waits for a lock"),
        (in_call(1, "msgrcv", 0), "is in the system call msgrcv"),
        (in_call(1, "openat", 0, wait_channel=known("do_lookup", "wchan")), "opens a file"),
        (
            in_call(1, "openat", 0, wait_channel=known("wait_for_partner", "wchan")),
            "opens a FIFO, and waits until somebody opens its other end",
        ),
        (thread(1, OnCpu()), "is running"),
    ],
)
def test_calls(doing: Any, said: str) -> None:
    assert activity(doing, descriptors=pipe_ends((4, "pipe:[9]", "rw"))) == said


@pytest.mark.parametrize(
    ("doing", "number", "said"),
    [
        (call("ioctl", 4, TCSETSF), 22, "is stopped by SIGTTOU: job control stops a background "),
        (call("ioctl", 4, TCSETSF), 0, "is stopped by a signal, probably SIGTTOU: job "),
        (call("read", 4), 21, "is stopped by SIGTTIN: job control stops a background process that "
         "reads from /dev/pts/3; "),
        (call("read", 4), 0, "is stopped by a signal, probably SIGTTIN: job control "),
        (call("read", 5), 0, "is stopped by a signal; SIGCONT continues it"),
        (call("read", 4), 19, "is stopped by SIGSTOP; SIGCONT continues it"),
        (call("read", 4), 20, "is stopped by SIGTSTP (Ctrl-Z); fg or SIGCONT continues it"),
    ],
)  # fmt: skip
def test_stops(doing: Any, number: int, said: str) -> None:
    stopped_by = known(number, "stat") if number else UNKNOWN
    told = activity(thread(1, doing, state="T"), descriptors=TERMINAL, stopped_by=stopped_by)
    assert told.startswith(said)


def test_a_thread_says_what_it_waits_for_and_not_what_is_missing_for_a_proof() -> None:
    reading = in_call(1, "read", 4, timeout=UNKNOWN)
    socket = known((Descriptor(number=4, target="socket:[9]", access="rw"),), "fd")
    judgement = judge(evidence(process(reading, descriptors=socket)))
    (doing,) = judgement.threads
    assert doing.does == "reads from a socket (socket:[9])"
    assert judgement.gaps[0].kind == "unknown"


def test_the_other_end_of_a_socket() -> None:
    sockets = known((Descriptor(number=4, target="socket:[9]", access="rw"),), "fd")
    reading = in_call(1, "recvfrom", 4)
    tcp = Peer(socket="socket:[9]", protocol="TCP", other="10.0.0.1:80")
    told = activity(reading, descriptors=sockets, peers=known((tcp,), "net"))
    assert told == "reads from a TCP socket, connected to 10.0.0.1:80"
    connecting = in_call(1, "connect", 4)
    told = activity(connecting, descriptors=sockets, peers=known((tcp,), "net"))
    assert told == "connects a TCP socket to 10.0.0.1:80"
    unix = Peer(socket="socket:[9]", protocol="UNIX", other="socket:[10]")
    alone = activity(reading, descriptors=sockets, peers=known((unix,), "net"))
    assert alone.endswith("connected to a process outside this process tree")
    ends = known((Descriptor(number=3, target="socket:[10]", access="rw"),), "fd")
    both = evidence(
        process(reading, descriptors=sockets, peers=known((unix,), "net")),
        process(in_call(2, "recvfrom", 3), parent=1, descriptors=ends),
    )
    told = activity_of(index(both), (1, 1))
    assert told == "reads from a Unix socket, connected to process 2"


def test_a_socket_of_python_that_is_read_has_no_timeout() -> None:
    sockets = known((Descriptor(number=4, target="socket:[9]", access="rw"),), "fd")
    seen = evidence(
        process(in_call(1, "recvfrom", 4), descriptors=sockets),
        stacks=(stacks(1, stack(1, frame("readinto", "/lib/python3.11/socket.py"))),),
    )
    assert (
        activity_of(index(seen), (1, 1)) == "reads from a socket (socket:[9]), with no timeout set"
    )
