from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deadlock_matrix.capture.proc_text import (
    parse_stat,
    parse_status,
    parse_syscall,
    text_of,
    thread_name,
)
from deadlock_matrix.capture.syscalls import NAMES, name_of
from deadlock_matrix.model.thread_facts import OnCpu, OutsideSystemCall, SystemCall

TAIL = b" S 7 1 1 0 -1 4194304 99 0 0 0 11 22 0 0 20 0 3 0 98274 3133440 413 1 2 3\n"

STATUS = b"""Name:\todd\\nname\tSigBlk:
State:\tT (stopped)
Tgid:\t40
Pid:\t41
PPid:\t7
TracerPid:\t9
NStgid:\t40\t4
NSpid:\t41\t5
SigPnd:\t0000000000000001
ShdPnd:\t0000000000000002
SigBlk:\t0000000000000004
SigIgn:\t0000000000000008
SigCgt:\t0000000180000002
voluntary_ctxt_switches:\t150
nonvoluntary_ctxt_switches:\t545
"""


@given(st.binary(min_size=0, max_size=15))
def test_stat_takes_any_name(name: bytes) -> None:
    stat = parse_stat(b"12 (" + name + b")" + TAIL)
    assert stat.name == text_of(name)
    assert (stat.state, stat.parent, stat.cpu_ticks) == ("S", 7, 33)
    assert (stat.thread_count, stat.started) == (3, 98274)


@pytest.mark.parametrize(("more", "memory"), [(b"", ()), (b" 4 5", (2, 3, 4)), (b" 0 5", ())])
def test_where_memory_lies_if_the_kernel_tells(more: bytes, memory: tuple[int, ...]) -> None:
    assert parse_stat(b"12 (x)" + TAIL.rstrip() + more + b"\n").memory == memory


@pytest.mark.parametrize("raw", [b"", b"12 (x", b"12 (x) S 1"])
def test_stat_refuses_what_is_not_one(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse_stat(raw)


def test_status() -> None:
    status = parse_status(STATUS)
    assert (status.state, status.parent, status.tracer) == ("T", 7, 9)
    assert (status.own_process_id, status.own_id) == (4, 5)
    assert (status.pending, status.pending_shared, status.blocked) == (1, 2, 4)
    assert (status.ignored, status.caught) == (8, 0x180000002)
    assert (status.switches.voluntary, status.switches.involuntary) == (150, 545)


def test_status_of_a_kernel_without_namespaces() -> None:
    raw = b"".join(line for line in STATUS.splitlines(True) if not line.startswith(b"NS"))
    status = parse_status(raw)
    assert (status.own_process_id, status.own_id) == (40, 41)


def test_syscall() -> None:
    assert parse_syscall(b"running\n", "x86_64") == OnCpu()
    assert parse_syscall(b"-1 0x7ffd 0x7f00\n", "x86_64") == OutsideSystemCall()
    call = parse_syscall(b"202 0x10 0x80 0x2 0x0 0x0 0x1 0x7ffd 0x7f00\n", "x86_64")
    assert call == SystemCall(
        name="futex",
        arguments=(16, 128, 2, 0, 0, 1),
        stack_pointer=0x7FFD,
        program_counter=0x7F00,
    )


@given(st.binary(max_size=80))
def test_syscall_only_ever_refuses(raw: bytes) -> None:
    with suppress(ValueError):
        parse_syscall(raw, "x86_64")


def test_names() -> None:
    assert name_of(202, "x86_64") == name_of(98, "aarch64") == "futex"
    assert name_of(98, "x86_64") == "syscall_98"
    assert name_of(202, "riscv64") == "syscall_202"
    assert set(NAMES["aarch64"].values()) <= set(NAMES["x86_64"].values())


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Thread-1 (work)", "Thread-1 (work)"),
        ("Thread-1 (вв".encode() + b"\xd0", "Thread-1 (вв"),  # cut by the kernel
        (b"abc\xd0", r"abc\xd0"),  # too short to be cut
        (b"\xff" + b"a" * 14, r"\xff" + "a" * 14),
        ("größe".encode(), "größe"),
    ],
)
def test_a_thread_s_name_is_cut_between_characters(raw: bytes, name: str) -> None:
    assert thread_name(raw) == name
