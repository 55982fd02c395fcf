"""Readers of foreign memory on bytes that no program writes: an answer, or the error they declare.

The memory is this process's own, in which every so many reads something is changed; what and
where is drawn from a seed, so that a failure can be repeated.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.proof_factory import (
    LOCK,
    PRIVATE,
    WAIT,
    change,
    evidence,
    on_futex,
    process,
    running,
    sleeping,
    stacks,
)

from deadlock_matrix.capture import elf, python_stacks
from deadlock_matrix.capture import stacks as memory_stacks
from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.tasks import EventLoop
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import judge

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")
OFTEN = settings(
    deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None
)
SEEDS = st.tuples(st.integers(0, 1 << 32), st.sampled_from([3, 30, 300, 3000]))
MOST_READS = 1 << 20
WORDS = (0, 1, 7, 8, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 47, (1 << 64) - 1)


class Changed(Memory):
    """This process's memory, wrong in one read of so many, in a place drawn from a seed."""

    seed = (0, 1)

    def __init__(self, pid: int, directory: int) -> None:
        super().__init__(pid, directory)
        seed, self._one_in = self.seed
        self._random = random.Random(seed)
        self._reads = 0

    def read(self, address: int, size: int) -> bytes:
        self._reads += 1
        assert self._reads < MOST_READS, "it has no end"
        data = super().read(address, size)
        if not data or self._random.randrange(self._one_in):
            return data
        changed = bytearray(data)
        at = self._random.randrange(len(changed))
        kind = self._random.randrange(3)
        if kind == 0:
            changed[at] ^= 1 << self._random.randrange(8)
        elif kind == 1:
            word = self._random.choice(WORDS).to_bytes(8, "little")
            at -= at % 8
            changed[at : at + 8] = word[: len(changed[at : at + 8])]
        else:
            changed[at:] = self._random.randbytes(len(changed) - at)
        return bytes(changed)


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """A few that wait, and one that runs tasks: there are stacks, locks and tasks to read."""
    lock, ready, end = threading.Lock(), threading.Barrier(4), threading.Event()

    def wait() -> None:
        ready.wait()
        with lock:
            end.wait()

    started = [threading.Thread(target=wait) for _ in range(3)]
    started += nearly_stuck(end)
    loop, busy = asyncio.new_event_loop(), threading.Event()
    started.append(threading.Thread(target=loop.run_until_complete, args=[tasks(busy)]))
    for thread in started:
        thread.start()
    ready.wait()
    busy.wait()
    yield
    end.set()
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    for thread in started:
        thread.join()
    loop.close()


def nearly_stuck(end: threading.Event) -> list[threading.Thread]:
    """Threads that wait for each other's locks and ends, and all of them for ``end``."""
    first, second = threading.RLock(), threading.RLock()
    left, right = threading.Lock(), threading.Lock()

    def take(own: Any, other: Any, taken: threading.Event) -> None:
        with own:
            taken.set()
            with other:
                pass

    def hold(own: Any, ready: threading.Event, taken: threading.Event) -> None:
        with own:
            ready.set()
            taken.wait()
            end.wait()

    started: list[threading.Thread] = []
    for own, other in ((first, second), (left, right)):
        ready, taken = threading.Event(), threading.Event()
        holder = threading.Thread(target=hold, args=(other, ready, taken))
        holder.start()
        ready.wait()
        started += [
            threading.Thread(target=take, args=(own, other, taken)),
            threading.Thread(target=holder.join),
        ]
    return started


async def tasks(busy: threading.Event) -> None:
    """Two that want each other's lock, of which one gives up after some time."""
    first, second, both = asyncio.Lock(), asyncio.Lock(), asyncio.Barrier(2)
    queue: asyncio.Queue[None] = asyncio.Queue()

    async def take(own: asyncio.Lock, other: asyncio.Lock, within_s: float) -> None:
        async with own:
            await both.wait()
            async with asyncio.timeout(within_s), other:
                pass

    wait = (take(first, second, 3600), take(second, first, 7200), *(queue.get() for _ in range(5)))
    with suppress(asyncio.CancelledError):
        gathered = asyncio.gather(*wait)
        for _ in range(10):  # turns of the loop, after which each of them has come to its wait
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(busy.set)  # once this task has come to its own
        await gathered


def test_unchanged_memory_is_readable() -> None:
    found = python_stacks.read_stacks(os.getpid())
    assert len(found.threads) >= 5
    assert isinstance(found.loops, Known)
    (loop,) = found.loops.value
    assert [task.steady for task in loop.tasks] == [True] * 8
    assert sum(isinstance(task.awaits, Known) for task in loop.tasks) == 8


@OFTEN
@given(SEEDS)
def test_files_in_memory(seed: tuple[int, int]) -> None:
    Changed.seed = seed
    elf._cache = Kept(elf.CACHED_FILES)
    directory = os.open("/proc/self", os.O_RDONLY)
    try:
        with Changed(os.getpid(), directory) as memory:
            for library in memory.maps.libraries()[:4]:
                mapping = memory.maps.find(library.start)
                assert mapping is not None
                with suppress(elf.Unusable, OSError):
                    elf.loaded(memory, mapping)
    finally:
        os.close(directory)
        elf._cache = Kept(elf.CACHED_FILES)  # what was read wrongly is for nobody else


@OFTEN
@given(SEEDS)
def test_stacks_and_locks(seed: tuple[int, int]) -> None:
    Changed.seed = seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python_stacks, "PagedMemory", Changed)
        with suppress(python_stacks.NotReadable):
            found = python_stacks.read_stacks(os.getpid())
            if isinstance(found.loops, Known):
                assert judge(with_loops(found.loops)).outcome == "not-proved"
    elf._cache = Kept(elf.CACHED_FILES)


@pytest.fixture(scope="module")
def looks(threads: None) -> tuple[Machine, Snapshot, Snapshot]:
    """This process twice; all its threads but the one that looks sleep from the first on."""
    with LinuxCollector() as collector:
        machine = collector.machine(os.getpid())
        before, after = (collector.snapshot([os.getpid()]) for _ in range(2))
    return machine, change(before, ended_s=0.0), change(after, begun_s=math.inf)


def looked_at(looks: tuple[Machine, Snapshot, Snapshot]) -> Judgement | None:
    """What is judged of this process, with its stacks read now; nothing, if there are none."""
    own, _ = memory_stacks._from_memory(os.getpid(), awaited=True)
    if own is None:
        return None
    facts = memory_stacks._facts(os.getpid(), "memory", 0.0, own.threads, own.loops)
    machine, before, after = looks
    return judge(Evidence(machine=machine, before=before, stacks=(facts,), after=after))


def test_threads_that_are_nearly_stuck(looks: tuple[Machine, Snapshot, Snapshot]) -> None:
    judgement = looked_at(looks)
    assert judgement is not None
    waiting = {each.waits_for.kind for each in judgement.threads if each.waits_for is not None}
    assert waiting >= {"Lock", "RLock", "Event", "Thread"}
    assert judgement.outcome in ("not-proved", "likely-partial")


@OFTEN
@given(SEEDS)
def test_no_write_into_objects_and_counts_makes_a_proof(
    looks: tuple[Machine, Snapshot, Snapshot], seed: tuple[int, int]
) -> None:
    """Two looks, as `examine_twice` takes: an owner that is wrong by chance is not so twice."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (python_stacks, "PagedMemory"),
            (python_stacks, "Memory"),
            (memory_stacks, "Memory"),
        ):
            patch.setattr(module, name, Changed)
        for again in range(2):
            Changed.seed = (seed[0] + again, seed[1])
            judgement = looked_at(looks)
            if judgement is None or judgement.outcome not in ("partial", "deadlock"):
                break
        else:
            raise AssertionError(judgement.proof)
    elf._cache = Kept(elf.CACHED_FILES)


def with_loops(loops: Known[tuple[EventLoop, ...]]) -> Evidence:
    """Evidence of a living process in which these loops were read."""
    alive = evidence(process(sleeping(1)), stacks=(stacks(1),))
    read = alive.stacks[0].stacks
    assert isinstance(read, Known)
    with_tasks = change(read, value=change(read.value, loops=loops))
    return change(alive, stacks=(change(alive.stacks[0], stacks=with_tasks),))


@OFTEN
@given(st.binary(min_size=40, max_size=40), st.integers(0, 1 << 32))
def test_no_word_in_memory_stops_a_thread_that_runs(around: bytes, expected: int) -> None:
    waiting = on_futex(100, around, at=LOCK, command=PRIVATE | WAIT, expected=expected)
    assert judge(evidence(process(waiting, running(101)))).outcome != "deadlock"
