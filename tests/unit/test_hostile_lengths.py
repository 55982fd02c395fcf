"""Readers of what the target decides the length of: they end, and say why they did not go on.

Before there were limits, each of these took minutes, or all memory, or had no end at all.
"""

from __future__ import annotations

import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from deadlock_matrix.capture import asyncio_references, paged_memory, python_reach
from deadlock_matrix.capture.asyncio_references import ReferenceReader
from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.later_names import names_ahead
from deadlock_matrix.capture.line_tables import Lines
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.paged_memory import PagedMemory
from deadlock_matrix.capture.proc_files import open_directory
from deadlock_matrix.capture.python_frames import MOST_FRAMES, MOST_THREADS, frames_of, read_threads
from deadlock_matrix.capture.python_objects import ObjectLayout
from deadlock_matrix.capture.python_reach import ReachReader
from deadlock_matrix.capture.signal_handlers import _tables_in
from deadlock_matrix.capture.with_blocks import depth_by_blocks, depth_by_table, parse_table

MANY = 1 << 19
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")


# --- tables of the compiler -----------------------------------------------------------------------


@pytest.mark.timeout(60)
def test_a_line_table_of_one_endless_number() -> None:
    for byte in (0xED, 0x6D):  # each begins an entry, or continues one
        assert isinstance(Lines(bytes([0xED]) + bytes([byte]) * MANY, 1, (3, 13)).at(1 << 40), int)


@pytest.mark.timeout(60)
def test_an_exception_table_of_one_endless_number() -> None:
    with pytest.raises(ValueError, match="has no end"):
        parse_table(b"\x80" + b"\x40" * MANY)


def entry(start: int, size: int, target: int, depth: int) -> bytes:
    numbers = b"".join(
        bytes([*(0x40 | number >> shift & 63 for shift in (18, 12, 6)), number & 63])
        for number in (start, size, target, depth)
    )
    return bytes([0x80 | numbers[0]]) + numbers[1:]


def test_a_long_exception_table_whose_handlers_form_a_chain() -> None:
    entries = 4000
    raw = b"".join(entry(at, 1, at - 1 if at else 9999, 1) for at in range(entries))
    table = parse_table(raw)
    for place in range(0, 2 * 150, 2):
        assert depth_by_table(table, place).slots == 0
    with pytest.raises(ValueError, match="in a circle"):
        depth_by_table(table, 2 * (entries - 1))


def test_an_exception_table_whose_ranges_overlap() -> None:
    with pytest.raises(ValueError, match="not sorted"):
        parse_table(entry(4, 1, 9, 1) + entry(0, 9, 9, 1))


@pytest.mark.timeout(60)
def test_bytecode_that_only_extends_an_argument() -> None:
    blocks = b"".join(struct.pack("<iii", 122, 4 + number, 1 + number) for number in range(20))
    code = b"\x90\xff" * (MANY // 2)
    assert depth_by_blocks(20, blocks, code, 1).begins == {}
    # An argument of four bytes is one that the interpreter has.
    at = len(code)
    handler = at + 2 + 0xFFFF_FF01
    block = struct.pack("<iii", 122, 0, 1)
    assert depth_by_blocks(1, block, code + b"\x8f\x01", 1).begins == {}
    assert handler > 1 << 31  # no handler of a block, which is a C int, can name it


@pytest.mark.timeout(60)
def test_jumps_that_each_lead_a_little_further_back() -> None:
    load, back = bytes([101, 7]), bytes([140, 2])  # two instructions back, one after the other
    code = load + back * (MANY // 2)
    assert names_ahead(code, len(code) - 2, (3, 11)) == frozenset({7})


# --- what leads from one object to the next -------------------------------------------------------


class Bytes(Memory):
    """Words at addresses, and zeros everywhere else."""

    def __init__(self, words: dict[int, int]) -> None:
        super().__init__(1, -1)
        self.words = words

    def read(self, address: int, size: int) -> bytes:
        raw = b"".join(
            self.words.get(at, 0).to_bytes(8, "little")
            for at in range(address & ~7, address + size + 8, 8)
        )
        return raw[address & 7 :][:size]


def interpreter(offsets: dict[str, int]) -> Interpreter:
    layout = ObjectLayout(type_at=8, header=16, free_threaded=False)
    return Interpreter(version=(3, 13), runtime=0x1000, layout=layout, offsets=offsets)


LISTS = {
    "runtime_state.interpreters_head": 0,
    "interpreter_state.next": 0,
    "interpreter_state.threads_head": 8,
    "thread_state.next": 0,
    "thread_state.interp": 8,
    "thread_state.thread_id": 16,
}


@pytest.mark.parametrize("next_interpreter", [0, 0x2000])
def test_a_ring_of_threads_and_one_of_interpreters(next_interpreter: int) -> None:
    words = {
        0x1000: 0x2000,
        0x2000: next_interpreter,
        0x2008: 0x3000,
        0x3000: 0x3000 if not next_interpreter else 0,
        0x3008: 0x2000,
    }
    wanted = "threads has no end" if not next_interpreter else "interpreters has no end"
    with pytest.raises(Unreadable, match=wanted):
        read_threads(Bytes(words), interpreter(LISTS), (1,))


def test_many_interpreters_with_all_threads_together_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deadlock_matrix.capture.python_frames.MOST_THREADS", 3)
    assert MOST_THREADS > 3
    words = {0x1000: 0x2000, 0x2000: 0x4000}
    for begin in (0x2000, 0x4000):
        words |= {begin + 8: begin + 0x100, begin + 0x100: begin + 0x200}
        words |= {begin + 0x108: begin, begin + 0x208: begin}
    with pytest.raises(Unreadable, match="threads has no end"):
        read_threads(Bytes(words), interpreter(LISTS), (1,))


FRAMES = {
    "thread_state.current_frame": 0,
    "interpreter_frame.previous": 8,
    "interpreter_frame.executable": 16,
    "interpreter_frame.instr_ptr": 24,
    "interpreter_frame.owner": 32,
    "interpreter_frame.localsplus": 40,
    "code_object.co_code_adaptive": 0,
}


def test_a_frame_that_was_called_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from deadlock_matrix.capture import python_frames
    from deadlock_matrix.capture.frame_variables import Code

    python = interpreter(FRAMES)
    python.codes[0x8000] = Code(function="f", file="f.py", lines=Lines(b"", 1, (3, 13)), names=())
    words = {0x3000: 0x5000, 0x5008: 0x5000, 0x5010: 0x8000, 0x5018: 0x8000}
    found = frames_of(Bytes(words), python, 0x3000)
    assert len(found) == MOST_FRAMES + 1
    assert found[0][0].function == python_frames.BROKEN
    # All threads together have a limit, too.
    monkeypatch.setattr(python_frames, "MOST_FRAMES_IN_ALL", 5)
    words |= {0x1000: 0x2000, 0x2008: 0x3100}
    for at, state in enumerate((0x3100, 0x3200, 0x3300)):
        thread = 0x9000 + at * 0x1000
        words |= {state: state + 0x100 if at < 2 else 0, state + 8: 0x2000, state + 16: thread}
        words |= {state + 24: 0x5000, thread: at + 1}
    offsets = {**FRAMES, **LISTS, "thread_state.current_frame": 24}
    python = interpreter(offsets)
    python.codes[0x8000] = Code(function="f", file="f.py", lines=Lines(b"", 1, (3, 13)), names=())
    threads = read_threads(Bytes(words), python, (1, 2, 3))
    assert sum(len(each.frames) for each in threads) == 5 + 3
    assert all(each.frames[0].function == python_frames.BROKEN for each in threads)


class _Objects:
    """A graph in place of a process's objects: each refers to all others."""

    def __init__(self, size: int) -> None:
        layout = ObjectLayout(type_at=8, header=16, free_threaded=False)
        offsets = {"frame.globals": 8}
        self.python = Interpreter(version=(3, 11), runtime=0, layout=layout, offsets=offsets)
        self.size = size

    def word(self, address: int) -> int:
        return self.size

    def type(self, address: int) -> str:
        return "list"

    def members(self, address: int) -> Iterator[int]:
        yield from range(8, 8 * (self.size + 1), 8)


def test_objects_of_which_each_refers_to_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from deadlock_matrix.capture.asyncio_coroutines import Chain

    monkeypatch.setattr(asyncio_references, "MOST_REFERENCES", 10_000)
    objects = _Objects(20_000)
    reader = ReferenceReader(
        objects=objects,  # type: ignore[arg-type]
        layout=None,  # type: ignore[arg-type]
        chains={},
    )
    reader._into = {}
    task = Chain(frames=(), end=0)
    reader.chains[16] = task
    monkeypatch.setattr(ReferenceReader, "_of_task", lambda self, task, chain: iter((8,)))
    reader._follow_all()
    assert sum(each.total() for each in reader._into.values()) == 10_000
    assert reader.referrers(8).others


@dataclass
class _Gone:
    """Objects of which the count is never right, so nothing is looked into."""

    memory: Memory = field(default_factory=lambda: Bytes({}))


def test_more_references_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_reach, "MOST_REFERENCES", 100)
    reader = ReachReader(
        objects=_Gone(),  # type: ignore[arg-type]
        fresh=_Gone(),  # type: ignore[arg-type]
        holders=None,  # type: ignore[arg-type]
        places=(),
        source="here",
    )
    for number in range(100):
        reader._refer(number, frozenset())
    with pytest.raises(Unreadable, match="too many references"):
        reader._refer(100, frozenset())
    assert Counter(reader._waiting).total() == 100


def test_memory_that_looks_like_the_table_of_handlers_everywhere() -> None:
    none = 0x7000
    data = struct.pack("<QQ", none, 0) * (MANY // 16)
    image = type("Image", (), {"none": none, "version": (3, 13), "runtime": (0, 1 << 62)})()
    with pytest.raises(Unreadable, match="too many places"):
        _tables_in(Bytes({}), image, data, 0x10000)


# --- all readers together -------------------------------------------------------------------------


@LINUX
def test_what_all_readers_of_one_stack_do_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged_memory, "MOST_STEPS", 1000)
    raw = (b"12345678" * 4096) + bytes(8)
    address = id(raw) + bytes.__basicsize__ - 1
    directory = open_directory("/proc/self")
    try:
        for read in (lambda m: m.number(address & ~7), lambda m: m.read(address, 16)):
            with PagedMemory(os.getpid(), directory) as memory:
                read(memory)
                with pytest.raises(Unreadable, match="too much"):
                    for _ in range(1000):
                        read(memory)
                with pytest.raises(Unreadable, match="too much"):
                    memory.read(address, 8)
        with (
            PagedMemory(os.getpid(), directory) as memory,
            pytest.raises(Unreadable, match="too much"),
        ):
            memory.read(address, 32_000)  # over a page's end: by its length
    finally:
        os.close(directory)
