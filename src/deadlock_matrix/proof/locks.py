"""Whose lock is it: reading an owner from the memory on which a thread waits.

Only glibc's own locks have a known layout, so an owner is believed only if the system call was made
by libc's own code (not through its public ``syscall()``, which hand-made locks use, and not from
another library), the value waited for is the one that kind of lock waits for, every field of the
structure is one that glibc would write, and the owner is a live thread of the same process.
Anything else has no owner here, with the reason. That is not an error: such a wait may still be
part of a closed world.

Layouts: glibc's ``struct_mutex.h`` and ``struct_rwlock.h``, the same on x86-64 and aarch64 from
2.25 on; ``pthread_join_common.c`` and ``descr.h`` for the joined thread's id.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.thread_facts import SystemCall, ThreadFacts, Word
from deadlock_matrix.proof.world import Key, World

FUTEX_WAITERS = 0x8000_0000
FUTEX_TID_MASK = 0x3FFF_FFFF
FUTEX_PRIVATE = 0x80

MUTEX_NAMES = {0: "mutex", 1: "recursive mutex", 2: "error-checking mutex", 3: "adaptive mutex"}
MUTEX_ROBUST = 0x10
MUTEX_PRIORITY = 0x60  # inherit or protect: other code paths in glibc
MUTEX_KNOWN_BITS = 0x39F  # type, robust, process-shared, elision on or off

JOINED = "end of a thread"
"""What `Owned.what` says for ``pthread_join``."""

ROBUST_HEAD_OFFSET = 24  # from ``tid`` to ``robust_head.futex_offset``
ROBUST_FUTEX_OFFSET = (0xFFFF_FFE0, 0xFFFF_FFFF)  # -32, from a mutex's list to its lock word

CONTENDED = 2  # what pthread_mutex_lock stores and waits for
JOINABLE = 2  # THREAD_STATE_JOINABLE, in glibc 2.43's ``joinstate``
RWLOCK_WRITING = 3  # "a writer has it" and "somebody waits", in both of a rwlock's futexes


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A lock with an owner that was read from memory."""

    what: str  # "mutex", "rwlock", or `JOINED`
    address: int  # of the structure
    owner: Key
    source: str


class Ownerless(msgspec.Struct, frozen=True, kw_only=True):
    """No owner could be read; ``note`` says what is known instead, for a reader.

    ``holder`` names a holder that can no longer release it, if that is known.
    """

    what: str
    note: str
    holder: str = ""


Reader = Callable[[World, Key, Word, int], Owned | Ownerless | None]
"""Reads one kind of lock; None if it is another."""


def read_lock(world: World, key: Key, call: SystemCall, word: Word) -> Owned | Ownerless:
    """Read the lock that ``key``, inside the futex call ``call``, waits for."""
    thread = world.threads[key]
    problem = _not_libc(world, thread)
    if problem:
        return Ownerless(what="futex", note=problem)
    expected = call.arguments[2] & 0xFFFF_FFFF
    shared = not call.arguments[1] & FUTEX_PRIVATE
    first = (_joined_thread, _thread_by_state) if shared else (_plain_mutex,)
    readers: tuple[Reader, ...] = (*first, _robust_mutex, _rwlock)
    for read in readers:
        lock = read(world, key, word, expected)
        if lock is not None:
            return lock
    return Ownerless(what="futex", note="there is no owner in its memory")


def _not_libc(world: World, thread: ThreadFacts) -> str:
    machine = world.machine
    if not machine.libc.startswith("glibc") or machine.pointer_bits != 64:
        return f"the locks of {machine.libc or 'this C library'} have no layout known here"
    if machine.architecture not in ("x86_64", "aarch64"):
        return f"the locks of glibc on {machine.architecture} have no layout known here"
    if not isinstance(thread.code, Known):
        return f"which code waits is not known: {thread.code.reason}"
    if not thread.code.value.is_libc:
        return f"a lock made by {thread.code.value.library}, with no owner field known here"
    if thread.code.value.in_syscall_wrapper:
        return "a hand-made lock (it calls futex through syscall()), with no owner field known here"
    return ""


def _field(word: Word, address: int) -> int | None:
    """Return the 32-bit word at ``address``, or None if it was not read."""
    begin = (address - word.around_start) * 2
    text = word.around[begin : begin + 8] if begin >= 0 else ""
    return int.from_bytes(bytes.fromhex(text), "little") if len(text) == 8 else None


def _plain_mutex(world: World, key: Key, word: Word, expected: int) -> Owned | Ownerless | None:
    at = word.address
    lock, count, owner, users, kind = (_field(word, at + 4 * i) for i in range(5))
    if None in (lock, count, owner, users, kind):
        return None
    assert lock is not None and count is not None and owner is not None
    assert users is not None and kind is not None
    if expected != CONTENDED or lock != CONTENDED:
        return None
    if kind & ~MUTEX_KNOWN_BITS or kind & (MUTEX_ROBUST | MUTEX_PRIORITY):
        return None
    recursive = kind & 3 == 1
    # Each condition variable whose waiters use the mutex counts as one more user.
    if (count > 0) != recursive or not 1 <= users <= len(world.threads) + 1:
        return None
    what = MUTEX_NAMES[kind & 3]
    return _owner(world, key, what, at, owner, f"owner field at {at + 8:#x}, kind {kind:#x}")


def _robust_mutex(world: World, key: Key, word: Word, expected: int) -> Owned | Ownerless | None:
    at = word.address
    lock, owner, kind = _field(word, at), _field(word, at + 8), _field(word, at + 16)
    if lock is None or owner is None or kind is None:
        return None
    if kind & ~MUTEX_KNOWN_BITS or not kind & MUTEX_ROBUST:
        return None
    if lock != expected or not lock & FUTEX_WAITERS or lock & FUTEX_TID_MASK != owner:
        return None
    what = "robust " + MUTEX_NAMES[kind & 3]
    return _owner(world, key, what, at, owner, f"owner field at {at + 8:#x} and the lock word")


def _rwlock(world: World, key: Key, word: Word, expected: int) -> Owned | Ownerless | None:
    if expected != RWLOCK_WRITING:
        return None
    # A reader waits on the word at 8, a writer behind another on the word at 12.
    for offset in (8, 12):
        base = word.address - offset
        readers, waiting = _field(word, base), _field(word, word.address)
        writer, shared, flags = (_field(word, base + at) for at in (24, 28, 48))
        if waiting != RWLOCK_WRITING or readers is None or readers & 3 != 3 or not writer:
            continue
        if shared not in (0, 1, 128) or flags not in (0, 1, 2):
            continue
        # Padding and elision words, which glibc leaves at zero.
        if any(_field(word, base + at) != 0 for at in (16, 20, 32, 36, 40, 44)):
            continue
        source = f"writer field at {base + 24:#x}"
        return _owner(world, key, "rwlock", base, writer, source)
    return None


def _joined_thread(world: World, key: Key, word: Word, expected: int) -> Owned | Ownerless | None:
    # pthread_join waits on the thread's id, which the kernel sets to 0 when the thread ends; not
    # privately, because it is the kernel that wakes.
    if expected == 0 or _field(word, word.address) != expected:
        return None
    # In glibc's struct pthread the robust list follows the id, and its futex offset is constant
    # (``robust_head``, set up in ``__tls_init_tp`` and ``pthread_create``): no other lock has that.
    at = word.address + ROBUST_HEAD_OFFSET
    if (_field(word, at), _field(word, at + 4)) != ROBUST_FUTEX_OFFSET:
        return None
    joined = world.by_own_tid(key[0], expected)
    if joined is None or joined == key:
        return None
    return Owned(
        what=JOINED,
        address=word.address,
        owner=joined,
        source=f"the word at {word.address:#x} holds the joined thread's id {expected}",
    )


def _thread_by_state(world: World, key: Key, word: Word, expected: int) -> Owned | Ownerless | None:
    # From 2.43 on it waits on ``joinstate``. That is the address at which the kernel, and nobody
    # else, writes 0 and wakes when the thread ends (CLONE_CHILD_CLEARTID; the main thread does it
    # itself at its end). Before that, nothing changes the state but the thread's own end, and
    # ``pthread_detach``, which wakes nobody. The id and the robust list lie before it.
    if expected != JOINABLE or _field(word, word.address) != JOINABLE:
        return None
    raw = bytes.fromhex(word.thread)
    numbers = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    robust = ROBUST_HEAD_OFFSET // 4
    if len(numbers) < robust + 2 or tuple(numbers[robust : robust + 2]) != ROBUST_FUTEX_OFFSET:
        return None
    joined = world.by_own_tid(key[0], numbers[0])
    if joined is None or joined == key:
        return None
    return Owned(
        what=JOINED,
        address=word.address,
        owner=joined,
        source=f"the word at {word.address:#x} says joinable, in the structure of the thread with "
        f"the id {numbers[0]}",
    )


def _owner(
    world: World, key: Key, what: str, address: int, own_tid: int, source: str
) -> Owned | Ownerless:
    owner = world.by_own_tid(key[0], own_tid)
    if owner is not None:
        return Owned(what=what, address=address, owner=owner, source=source)
    if own_tid == 0:
        return Ownerless(what=what, note="its owner field is empty")
    left = world.left_behind(key[0], own_tid)
    if left is not None:
        pid, tid = left
        holder = f"a thread that the fork left behind (thread {tid} of parent process {pid})"
        return Ownerless(what=what, note=f"its owner is {holder}", holder=holder)
    return Ownerless(
        what=what,
        note=f"its owner field names {own_tid}, which is no thread of this process: "
        "it has ended, or a fork did not copy it",
        holder=f"thread {own_tid}, which has ended or which a fork did not copy",
    )
