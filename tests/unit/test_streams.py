"""Pipes that are read with a limit, and standard inputs of every kind; no process is needed."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deadlock_matrix.model.cell import Stdin
from deadlock_matrix.run import streams
from deadlock_matrix.run.streams import KEEP_FIRST, KEEP_LAST, Drain, Input

pytestmark = pytest.mark.timeout(60)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@pytest.fixture
def drain() -> Iterator[Drain]:
    made = Drain()
    yield made
    with suppress(OSError):
        made.close_write_end()


def test_nothing_was_written(drain: Drain) -> None:
    found = drain.finish()
    assert (found.size, found.kept) == (0, "")


def test_text(drain: Drain) -> None:
    write_all(drain.write_end, "zwölf\n".encode())
    found = drain.finish()
    assert (found.size, found.kept) == (7, "zwölf\n")


def test_bytes_that_are_no_text(drain: Drain) -> None:
    write_all(drain.write_end, b"a\xff\x00b")
    assert drain.finish().kept == "a\\xff\x00b"


@pytest.mark.parametrize("size", [KEEP_FIRST - 1, KEEP_FIRST, KEEP_FIRST + 1,
                                  KEEP_FIRST + KEEP_LAST - 1, KEEP_FIRST + KEEP_LAST])  # fmt: skip
def test_up_to_the_limit_everything_is_kept(drain: Drain, size: int) -> None:
    data = bytes(97 + n % 26 for n in range(size))
    write_all(drain.write_end, data)
    found = drain.finish()
    assert (found.size, found.kept) == (size, data.decode())


def test_beyond_it_the_middle_is_cut(drain: Drain) -> None:
    size = KEEP_FIRST + KEEP_LAST + 1
    data = bytes(97 + n % 26 for n in range(size))
    write_all(drain.write_end, data)
    found = drain.finish()
    first, last = data[:KEEP_FIRST].decode(), data[-KEEP_LAST:].decode()
    assert (found.size, found.kept) == (size, f"{first}\n[... 1 bytes cut here ...]\n{last}")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=30), st.integers(1, 40))
def test_however_it_is_written(chunks: list[bytes], keep: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "KEEP_FIRST", keep)
        patch.setattr(streams, "KEEP_LAST", keep)
        drain = Drain()
        for chunk in chunks:
            write_all(drain.write_end, chunk)
        found = drain.finish()
    data = b"".join(chunks)
    assert found.size == len(data)
    if len(data) <= 2 * keep:
        assert found.kept == data[:keep].decode("utf-8", "backslashreplace") + data[keep:].decode(
            "utf-8", "backslashreplace"
        )
    else:
        assert found.kept.startswith(data[:keep].decode("utf-8", "backslashreplace"))
        assert found.kept.endswith(data[-keep:].decode("utf-8", "backslashreplace"))
        assert f"[... {len(data) - 2 * keep} bytes cut here ...]" in found.kept


def test_one_who_keeps_the_pipe_open_is_not_waited_for(drain: Drain) -> None:
    held = os.dup(drain.write_end)
    try:
        write_all(drain.write_end, b"so far\n")
        found = drain.finish()
        assert found.kept == "so far\n"
    finally:
        os.close(held)


def test_a_long_output_is_drained_slowly(drain: Drain) -> None:
    done = threading.Event()

    def write() -> None:
        with suppress(OSError):
            for _ in range(100):
                write_all(drain.write_end, b"x" * 65536)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert done.wait(20)
    thread.join()
    assert drain.finish().size == 100 * 65536


@pytest.mark.parametrize("kind", list(Stdin))
def test_a_standard_input(kind: Stdin) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    with Input(kind) as opened:
        is_pipe = stat.S_ISFIFO(os.fstat(opened.read_end).st_mode)
        assert is_pipe is (kind is not Stdin.NULL)
        ready, _, _ = select.select([opened.read_end], [], [], 0)
        assert bool(ready) is (kind is not Stdin.SILENT_PIPE)
        if ready:
            assert os.read(opened.read_end, 1) == b""
        assert not os.get_inheritable(opened.read_end)
    opened.close()  # once more
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before
