"""The text formats of ``/proc``: pure parsing; no file is opened here.

Source: proc(5) and the kernel's ``fs/proc/array.c`` and ``fs/proc/base.c``.
"""

from __future__ import annotations

from typing import NamedTuple

from deadlock_matrix.capture.syscalls import name_of
from deadlock_matrix.model.thread_facts import (
    Activity,
    OnCpu,
    OutsideSystemCall,
    Switches,
    SystemCall,
)

NAME_LIMIT = 15  # TASK_COMM_LEN without the end
KERNEL_THREAD_FLAG = 0x0020_0000  # PF_KTHREAD in include/linux/sched.h


class Stat(NamedTuple):
    """Some fields of ``stat``; ``started`` and ``cpu_ticks`` are clock ticks.

    ``virtual_size`` is 0 once the thread has given up its memory. ``exit_code`` of a stopped
    process is the signal that stopped it, until its parent has asked; 0 on older kernels.
    ``memory`` holds where the code begins and ends and where the stack begins: equal for all that
    run on the same memory, and after a fork; empty if the kernel does not tell us, or the memory
    was given up.
    """

    name: str
    state: str
    parent: int
    flags: int
    cpu_ticks: int
    thread_count: int
    started: int
    virtual_size: int
    exit_code: int = 0
    memory: tuple[int, ...] = ()


class Status(NamedTuple):
    """Some fields of ``status``; signal sets are bit masks, bit 0 is signal 1."""

    state: str
    own_id: int
    own_process_id: int
    parent: int
    tracer: int
    pending: int
    pending_shared: int
    blocked: int
    ignored: int
    caught: int
    switches: Switches


def text_of(raw: bytes) -> str:
    r"""Decode bytes from the kernel as text that JSON can carry; non-UTF-8 is spelled ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def thread_name(raw: bytes) -> str:
    r"""Return a thread's name, which the kernel cuts after 15 bytes, even within a character.

    The rest of a cut character is dropped; anything else that is not UTF-8 is spelled ``\xNN``.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.end == len(raw) == NAME_LIMIT and error.reason == "unexpected end of data"
        return text_of(raw[: error.start] if cut else raw)


def parse_stat(raw: bytes) -> Stat:
    """Parse ``/proc/PID/stat``.

    The name is in parentheses and may itself contain spaces, parentheses and line ends, so it is
    what lies between the first ``(`` and the last ``)``.

    Raises:
        ValueError: It is not such a line.
    """
    begin, end = raw.index(b"("), raw.rindex(b")")
    fields = raw[end + 2 :].split()
    if len(fields) < 21:
        raise ValueError("stat has too few fields")
    return Stat(
        name=thread_name(raw[begin + 1 : end]),
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        flags=int(fields[6]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        thread_count=int(fields[17]),
        started=int(fields[19]),
        virtual_size=int(fields[20]),
        exit_code=int(fields[49]) if len(fields) > 49 else 0,
        memory=_memory(fields),
    )


def _memory(fields: list[bytes]) -> tuple[int, ...]:
    if len(fields) < 26 or fields[25] == b"0":
        return ()
    return int(fields[23]), int(fields[24]), int(fields[25])


def _field(raw: bytes, name: bytes) -> bytes:
    begin = raw.index(b"\n" + name + b":") + len(name) + 2
    return raw[begin : raw.index(b"\n", begin)].strip()


def _innermost(raw: bytes, name: bytes, without_namespaces: bytes) -> int:
    """Return the last id of ``NSpid``: the id that the task itself sees (since Linux 4.1)."""
    try:
        return int(_field(raw, name).split()[-1])
    except (ValueError, IndexError):
        return int(_field(raw, without_namespaces))


def parse_status(raw: bytes) -> Status:
    """Parse ``/proc/PID/status``; the kernel escapes line ends in the name there.

    Raises:
        ValueError: A field is missing.
    """
    return Status(
        state=_field(raw, b"State")[:1].decode("ascii"),
        own_id=parse_own_id(raw),
        own_process_id=_innermost(raw, b"NStgid", b"Tgid"),
        parent=int(_field(raw, b"PPid")),
        tracer=int(_field(raw, b"TracerPid")),
        pending=int(_field(raw, b"SigPnd"), 16),
        pending_shared=int(_field(raw, b"ShdPnd"), 16),
        blocked=int(_field(raw, b"SigBlk"), 16),
        ignored=int(_field(raw, b"SigIgn"), 16),
        caught=int(_field(raw, b"SigCgt"), 16),
        switches=parse_switches(raw),
    )


def parse_own_id(raw: bytes) -> int:
    """Parse `Status.own_id` alone.

    Raises:
        ValueError: it is missing.
    """
    return _innermost(raw, b"NSpid", b"Pid")


def parse_switches(raw: bytes) -> Switches:
    """Parse the counters alone, from the end of ``/proc/PID/status``.

    Raises:
        ValueError: They are missing.
    """
    begin = raw.rindex(b"\nvoluntary_ctxt_switches:")
    fields = raw[begin:].split()
    if len(fields) < 4:
        raise ValueError("status has too few switch counts")
    return Switches(voluntary=int(fields[1]), involuntary=int(fields[3]))


def parse_syscall(raw: bytes, architecture: str) -> Activity:
    """Parse ``/proc/PID/task/TID/syscall``.

    Raises:
        ValueError: It is not such a line.
    """
    fields = raw.split()
    if fields == [b"running"]:
        return OnCpu()
    if len(fields) not in (3, 9):
        raise ValueError("syscall has neither three nor nine fields")
    number = int(fields[0])
    if len(fields) == 3 and number < 0:
        return OutsideSystemCall()
    if len(fields) != 9 or number < 0:
        raise ValueError("syscall shows no call, but its arguments")
    words = [int(field, 16) for field in fields[1:]]
    return SystemCall(
        name=name_of(number, architecture),
        arguments=(words[0], words[1], words[2], words[3], words[4], words[5]),
        stack_pointer=words[6],
        program_counter=words[7],
    )
