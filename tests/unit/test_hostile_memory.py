"""Readers of foreign memory on bytes that no program writes: an answer, or the error they declare.

The memory is this process's own, in which every so many reads something is changed; what and
where is drawn from a seed, so that a failure can be repeated.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.proof_factory import LOCK, PRIVATE, WAIT, evidence, on_futex, process, running

from deadlock_matrix.capture import elf, python_stacks
from deadlock_matrix.capture.memory import Memory
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
    """A few that wait, so that there are stacks and locks to read."""
    lock, ready, end = threading.Lock(), threading.Barrier(4), threading.Event()

    def wait() -> None:
        ready.wait()
        with lock:
            end.wait()

    started = [threading.Thread(target=wait) for _ in range(3)]
    for thread in started:
        thread.start()
    ready.wait()
    yield
    end.set()
    for thread in started:
        thread.join()


def test_unchanged_memory_is_readable() -> None:
    assert len(python_stacks.read_stacks(os.getpid())) >= 4


@OFTEN
@given(SEEDS)
def test_files_in_memory(seed: tuple[int, int]) -> None:
    Changed.seed = seed
    elf._cache.clear()
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
        elf._cache.clear()  # what was read wrongly is for nobody else


@OFTEN
@given(SEEDS)
def test_stacks_and_locks(seed: tuple[int, int]) -> None:
    Changed.seed = seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python_stacks, "PagedMemory", Changed)
        with suppress(python_stacks.NotReadable):
            python_stacks.read_stacks(os.getpid())
    elf._cache.clear()


@OFTEN
@given(st.binary(min_size=40, max_size=40), st.integers(0, 1 << 32))
def test_no_word_in_memory_stops_a_thread_that_runs(around: bytes, expected: int) -> None:
    waiting = on_futex(100, around, at=LOCK, command=PRIVATE | WAIT, expected=expected)
    assert judge(evidence(process(waiting, running(101)))).outcome != "deadlock"
