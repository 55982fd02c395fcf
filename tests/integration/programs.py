"""Small programs of threads and locks, made at random, with what becomes of each.

`Model` makes a program step by step: at every point it knows who is blocked, lets one of the others
do something, and works out what that blocks or wakes. `SCRIPT` carries the steps out in exactly
that order, so the end that the model has reached is the end that the real program reaches. Where a
machine is so busy that a time limit came at another moment, the script ends with `LATE`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from deadlock_matrix.model.verdict import Verdict

T = TypeVar("T")
LATE = 77
FIRST_LIMIT_S, NEXT_LIMIT_S = 1.0, 0.6
MOST_LIMITS = 2

Kind = Literal["lock", "rlock", "semaphore", "event", "mutex", "recursive-mutex", "checking-mutex"]
KINDS: tuple[Kind, ...] = (
    "lock", "rlock", "semaphore", "event", "mutex", "recursive-mutex", "checking-mutex",
)  # fmt: skip
OWNED = ("rlock", "mutex", "recursive-mutex", "checking-mutex")
NATIVE = ("mutex", "recursive-mutex", "checking-mutex")


class Chooser(Protocol):
    """What decides: Hypothesis in a test."""

    def one_of(self, options: list[T]) -> T:
        """One of the options, of which there is at least one."""
        ...


@dataclass
class Lock:
    """What is known of one lock."""

    kind: Kind
    owner: int | None = None
    count: int = 0  # how often taken; a semaphore's value
    is_set: bool = False


@dataclass
class Blocked:
    """What one thread is blocked on, by which step."""

    step: int
    on: tuple[str, int]  # ("lock", 2), ("join", 3), ("sleep", 0)
    until: int | None = None  # which of the time limits ends it
    for_ever: bool = False  # asleep for longer than anybody waits


@dataclass
class Program:
    """The steps, and what becomes of the program."""

    threads: int
    locks: list[Kind]
    steps: list[dict[str, Any]]
    verdict: Verdict
    told: str = ""
    lasts_s: float = 0.0

    def statement(self) -> str:
        """The program as one statement of Python."""
        plan = json.dumps({"threads": self.threads, "locks": self.locks, "steps": self.steps})
        return SCRIPT.replace("@PLAN@", repr(plan)).replace("@LATE@", str(LATE))

    def describe(self) -> str:
        """For a person who reads a failure."""
        lines = [f"{self.threads} threads, locks {self.locks}, must be {self.verdict.value}"]
        lines += [f"{number:3} {step}" for number, step in enumerate(self.steps)]
        return "\n".join([*lines, self.told])


@dataclass
class Model:
    """A program while it is made."""

    threads: int
    locks: list[Lock]
    steps: list[dict[str, Any]] = field(default_factory=list)
    blocked: dict[int, Blocked] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    limits: int = 0
    gil_taker: int | None = None  # holds the GIL for ever

    # --- making ---------------------------------------------------------------------------------

    def make(self, choose: Chooser, length: int) -> Program:
        """Let threads do things, then let them end, until nobody can do anything."""
        for _ in range(length):
            runnable = self.runnable()
            if not runnable or self.gil_taker is not None:
                break
            thread = choose.one_of(runnable)
            options = list(self._options(thread))
            if options:
                self._do(thread, *choose.one_of(options))
        self._wind_up(choose)
        return Program(
            threads=self.threads,
            locks=[lock.kind for lock in self.locks],
            steps=self.steps,
            verdict=self.verdict(),
            told=f"at the end: blocked {self.blocked}, ended {self.ended}",
            lasts_s=sum(FIRST_LIMIT_S + NEXT_LIMIT_S * n for n in range(self.limits)),
        )

    def _wind_up(self, choose: Chooser) -> None:
        while self.gil_taker is None and 0 not in self.ended:
            others = [thread for thread in self.runnable() if thread != 0]
            timed = [t for t, b in self.blocked.items() if b.until is not None]
            if others:
                self._finish(others[0], let_go=choose.one_of([True, False, False]))
            elif 0 in self.runnable():
                self._finish(0, let_go=False)
            elif timed:
                first = min(timed, key=lambda t: self.blocked[t].until or 0)
                blocked = self.blocked.pop(first)
                self.steps[blocked.step]["expires_at"] = len(self.steps)
            else:
                break

    def _finish(self, thread: int, *, let_go: bool) -> None:
        if let_go:
            for number, lock in enumerate(self.locks):
                while (
                    lock.owner == thread and lock.kind in OWNED and len(self._waiting(number)) < 2
                ):
                    self._do(thread, "release", number)
        self._do(thread, "end", 0)

    def runnable(self) -> list[int]:
        """The threads that can do the next step."""
        return [t for t in range(self.threads) if t not in self.blocked and t not in self.ended]

    def _options(self, thread: int) -> Iterable[tuple[str, int]]:
        for number, lock in enumerate(self.locks):
            timed = lock.kind not in NATIVE and self.limits < MOST_LIMITS
            yield from [("acquire", number)] * 4
            if timed:
                yield ("acquire-timed", number)
            if lock.kind in ("mutex", "checking-mutex"):
                yield ("acquire-with-gil", number)
            if self._can_release(thread, number):
                yield ("release", number)
        for other in range(1, self.threads):
            if other != thread:
                yield ("join", other)
        if self.limits < MOST_LIMITS:
            yield ("sleep", 0)
        if thread != 0:
            yield ("sleep-for-ever", 0)
            yield ("end", 0)

    def _can_release(self, thread: int, number: int) -> bool:
        lock = self.locks[number]
        if lock.kind == "event":
            return not lock.is_set
        if len(self._waiting(number)) > 1:
            return False  # nobody knows who of them would get it
        if lock.kind == "semaphore":
            return True
        return lock.count > 0 and (lock.kind == "lock" or lock.owner == thread)

    def _waiting(self, number: int) -> list[int]:
        return [t for t, b in self.blocked.items() if b.on == ("lock", number)]

    # --- one step -------------------------------------------------------------------------------

    def _do(self, thread: int, what: str, which: int) -> None:
        step: dict[str, Any] = {"thread": thread, "do": what, "on": which}
        if what in ("sleep", "acquire-timed"):
            step["limit_s"] = FIRST_LIMIT_S + NEXT_LIMIT_S * self.limits
        self.steps.append(step)
        woken: list[int] = []
        if what == "release":
            woken = self._release(which)
        elif what == "end":
            self.ended.add(thread)
            woken = [t for t, b in self.blocked.items() if b.on == ("join", thread)]
        elif not self._goes_on(thread, what, which, step):
            step["blocks"] = True
            self._block(thread, what, which, step)
        step["wakes"] = [self.blocked.pop(other).step for other in woken]

    def _goes_on(self, thread: int, what: str, which: int, step: dict[str, Any]) -> bool:
        if what == "join":
            return which in self.ended
        return what.startswith("acquire") and self._try(thread, which, step)

    def _block(self, thread: int, what: str, which: int, step: dict[str, Any]) -> None:
        on = {"join": "join", "sleep": "sleep", "sleep-for-ever": "sleep"}.get(what, "lock")
        blocked = Blocked(step=len(self.steps) - 1, on=(on, which))
        blocked.for_ever = what == "sleep-for-ever"
        if what in ("sleep", "acquire-timed"):
            blocked.until = self.limits
            self.limits += 1
        if what == "acquire-with-gil":
            self.gil_taker = thread
        self.blocked[thread] = blocked

    def _try(self, thread: int, number: int, step: dict[str, Any]) -> bool:
        """Take a lock if that needs no waiting."""
        lock = self.locks[number]
        if lock.kind == "event":
            return lock.is_set
        if lock.kind == "semaphore":
            if lock.count == 0:
                return False
            lock.count -= 1
            return True
        if lock.count and lock.owner == thread:
            if lock.kind == "checking-mutex":
                step["refused"] = True
                return True
            if lock.kind not in ("rlock", "recursive-mutex"):
                return False
        elif lock.count:
            return False
        lock.owner, lock.count = thread, lock.count + 1
        return True

    def _release(self, number: int) -> list[int]:
        """Let go of a lock; returns whom that wakes, who has it then."""
        lock = self.locks[number]
        waiting = self._waiting(number)
        if lock.kind == "event":
            lock.is_set = True
            return waiting
        if lock.kind == "semaphore":
            lock.count += 0 if waiting else 1
            return waiting
        lock.count -= 1
        if lock.count:
            return []
        lock.owner = None
        if waiting:
            lock.owner, lock.count = waiting[0], 1
        return waiting

    # --- what becomes of it ---------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """``ok`` if the main thread ends, ``deadlock`` if it can be shown never to, else ``hang``.

        It can be shown if the main thread is in the largest set of threads whom nobody else wakes.
        A native mutex is unlocked by its owner, unless that is who waits for it: then it may be a
        baton. A join ends with the thread joined, but every thread could interrupt the main one
        in it by SIGINT. The GIL comes from who has it. Any other wait could be ended by every
        thread of the process.
        """
        if 0 in self.ended:
            return Verdict.OK
        alive = set(range(self.threads)) - self.ended
        stuck = {t for t in alive if not (t in self.blocked and self.blocked[t].for_ever)}
        while freed := {t for t in stuck if not self._wakers(t, alive) <= stuck}:
            stuck -= freed
        return Verdict.DEADLOCK if 0 in stuck else Verdict.HANG

    def _wakers(self, thread: int, alive: set[int]) -> set[int]:
        blocked = self.blocked.get(thread)
        timed = blocked is not None and blocked.until is not None
        if self.gil_taker is not None and (blocked is None or timed):
            return {self.gil_taker}  # it wants to go on, and waits for the GIL
        assert blocked is not None
        kind, which = blocked.on
        if kind == "join":
            return alive if thread == 0 else {which}
        if kind == "lock" and self.locks[which].kind in NATIVE:
            owner = self.locks[which].owner
            assert owner is not None
            return {owner} if owner in alive - {thread} else alive
        return alive


# --- the program --------------------------------------------------------------------------------

SCRIPT = """
import ctypes, json, os, signal, threading, time

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has ignored it
plan = json.loads(@PLAN@)
steps = plan["steps"]
libc, libc_with_gil = ctypes.CDLL(None), ctypes.PyDLL(None)
turn = -1  # until all threads have begun
done = [False] * len(steps)


class Mutex:
    def __init__(self, kind):
        self.memory = (ctypes.c_int * 16)()
        self.memory[4] = kind  # where glibc keeps it, see its struct_mutex.h

    def acquire(self):
        return libc.pthread_mutex_lock(self.memory) == 0

    def acquire_with_gil(self):
        return libc_with_gil.pthread_mutex_lock(self.memory) == 0

    def release(self):
        libc.pthread_mutex_unlock(self.memory)


class Event(threading.Event):
    acquire, release = threading.Event.wait, threading.Event.set


make = {
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "semaphore": lambda: threading.Semaphore(0),
    "event": Event,
    "mutex": lambda: Mutex(0),
    "recursive-mutex": lambda: Mutex(1),
    "checking-mutex": lambda: Mutex(2),
}
locks = [make[kind]() for kind in plan["locks"]]


def late(number, why):
    os.write(2, ("step %d: %s" % (number, why)).encode())
    os._exit(@LATE@)


def wait_for_turn(number):
    before = steps[number - 1]["wakes"] if number else ()
    while turn != number or not all(done[woken] for woken in before):
        time.sleep(0.001)


def carry_out(step):
    what, lock = step["do"], locks[step["on"] % len(locks)]
    if what == "acquire":
        return lock.acquire()
    if what == "acquire-timed":
        return lock.acquire(timeout=step["limit_s"])
    if what == "acquire-with-gil":
        return lock.acquire_with_gil()
    if what == "release":
        lock.release()
    elif what == "join":
        threads[step["on"]].join()
    elif what == "sleep":
        time.sleep(step["limit_s"])
    elif what == "sleep-for-ever":
        time.sleep(1000)
    return True


def work(thread):
    global turn
    for number, step in enumerate(steps):
        if step["thread"] != thread:
            continue
        wait_for_turn(number)
        blocks = step.get("blocks")
        if blocks or step["do"] == "end":
            turn = number + 1
        if step["do"] == "end":
            return
        got = carry_out(step)
        expires_at = step.get("expires_at")
        if step["do"] == "acquire-timed" and got == (expires_at is not None):
            late(number, "got it" if got else "did not get it")
        if expires_at is not None and turn != expires_at:
            late(number, "at %d, not %d" % (turn, expires_at))
        if step["do"].startswith("acquire") and got == step.get("refused", False):
            if step["do"] != "acquire-timed":
                late(number, "refused")
        done[number] = True
        if not blocks:
            turn = number + 1
    while True:  # its last step has been done, and it has not ended: somebody took the GIL
        time.sleep(0.001)


threads = [threading.main_thread()] + [
    threading.Thread(target=work, args=(number,), daemon=True)
    for number in range(1, plan["threads"])
]
for thread in threads[1:]:
    thread.start()
turn = 0
work(0)
"""
