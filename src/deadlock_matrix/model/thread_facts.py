"""What one thread was doing at one instant, as the kernel shows it."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Known, Unknown


class SystemCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="system-call"):
    """A thread inside a system call (``/proc/PID/task/TID/syscall``).

    ``name`` comes from the table of the target's architecture; a number without a name in that
    table is spelled ``syscall_N``. ``arguments`` are six raw machine words.
    """

    name: str
    arguments: tuple[int, int, int, int, int, int]
    stack_pointer: int
    program_counter: int


class OnCpu(msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="on-cpu"):
    """A thread that is running or ready to run: the kernel shows ``running``."""


class OutsideSystemCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="outside-system-call"
):
    """Blocked, but in no system call: a page fault or a stop in user mode (the kernel shows -1).

    Such a stop inside a system call, or a freezer, shows that call: see
    ``ThreadFacts.wait_channel``.
    """


Activity = SystemCall | OnCpu | OutsideSystemCall


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """Context switches since the thread began (``/proc/PID/task/TID/status``).

    They grow when a thread leaves the processor. A thread in state S with equal counters and the
    same `SystemCall` at two instants has slept all the time between; state and counters alone do
    not show that, because a thread sets its state shortly before it leaves the processor.
    """

    voluntary: int
    involuntary: int


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """The line of ``/proc/PID/maps`` an address lies in. ``path`` is empty for anonymous memory."""

    start: int
    end: int
    permissions: str  # as in the file, "rw-p"; a trailing "s" is memory shared with others
    offset: int
    path: str


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """Memory around the address on which a thread waits.

    ``around`` is hexadecimal, little-endian as read, beginning at ``around_start``. ``thread`` is
    the contents of a thread's id, if the word may be that thread's ``joinstate``.
    """

    address: int
    mapping: Mapping
    around_start: int
    around: str
    thread: str = ""


class PolledDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """One ``struct pollfd`` a thread waits on. ``events`` are poll(2)'s bits (POLLIN is 1)."""

    descriptor: int
    events: int


class NoTimeout(msgspec.Struct, frozen=True, kw_only=True, tag_field="timeout", tag="none"):
    """A wait without a time limit: the system call's own arguments say so."""


class TimeLimit(msgspec.Struct, frozen=True, kw_only=True, tag_field="timeout", tag="limited"):
    """A wait with a time limit.

    ``due_s`` is in seconds from the reading until the wait ends by itself. For a limit given as an
    instant (``exact``) it is that; for one given as a length it is the latest possible moment,
    because the kernel does not tell when the wait began.
    """

    due_s: Known[float] | Unknown
    exact: bool


Timeout = NoTimeout | TimeLimit


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code a blocked thread will return to, from its program counter.

    ``in_syscall_wrapper`` distinguishes libc's public ``syscall()`` function (through which
    hand-made locks call futex) from libc's own locking code.
    """

    library: str
    is_libc: bool
    in_syscall_wrapper: bool


class ThreadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One thread at one instant.

    ``tid`` is the id as the observer sees it, ``own_tid`` as the thread itself does (they differ in
    a container); locks in memory hold the latter. ``started`` is in clock ticks since boot:
    together with ``tid`` it identifies the thread, since an id alone may be reused.
    """

    tid: int
    own_tid: int
    name: str
    state: str  # the kernel's letter: R S D T t Z X I
    started: int
    cpu_ticks: int
    switches: Known[Switches] | Unknown
    activity: Known[Activity] | Unknown
    blocked_signals: int  # bit mask, bit 0 is signal 1
    word: Known[Word] | Unknown  # the futex on which it waits
    polled: Known[tuple[PolledDescriptor, ...]] | Unknown
    timeout: Known[Timeout] | Unknown  # of the system call it is in
    code: Known[Code] | Unknown
    wait_channel: Known[str] | Unknown  # the kernel function it sleeps in (/proc/.../wchan)

    @property
    def call(self) -> SystemCall | None:
        """The system call in which it is known to be."""
        activity = self.activity.or_else(None)
        return activity if isinstance(activity, SystemCall) else None
