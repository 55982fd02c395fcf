"""The parsers of /proc on texts that no kernel writes: an answer, or the error they declare."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deadlock_matrix.capture.memory import Maps
from deadlock_matrix.capture.proc_text import parse_stat, parse_status, parse_syscall

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")
QUICKLY = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))

REAL = {
    "stat": b"1 (a b) (c) S 0 1 1 0 -1 4194560 1 0 1 0 1 1 0 0 20 0 1 0 5 22 33 44 55\n",
    "syscall": b"202 0x7f00 0x80 0x2 0x0 0x0 0x0 0x7ffd 0x7f11\n",
}


@cache  # every attempt changes the same text
def real(name: str) -> bytes:
    if name in REAL:
        return REAL[name]
    return b"\n".join(Path("/proc/self", name).read_bytes().splitlines()[:80]) + b"\n"


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A real text after some changes: pieces cut out, doubled, or put in."""
    data = real(name)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 64)))
        new = draw(
            st.one_of(
                st.binary(max_size=12),
                st.sampled_from([b"", b"-1", b"9" * 400, b"\n", b")", b"(", b"\0", b"0x", b"\xff"]),
                st.just(data[at:to] * 2),
            )
        )
        data = data[:at] + new + data[to:]
    return data


@QUICKLY
@given(changed("stat"))
def test_stat(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_stat(data)


@QUICKLY
@given(changed("status"))
def test_status(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_status(data)


@QUICKLY
@given(changed("syscall"))
def test_syscall(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_syscall(data, "x86_64")


@QUICKLY
@given(changed("maps"), st.integers(0, 1 << 64))
def test_maps(data: bytes, address: int) -> None:
    with contextlib.suppress(OSError):
        maps = Maps(data)
        maps.find(address)
        maps.libraries()
        maps.special()
        for library in maps.libraries():
            maps.of_file(library.path)
            maps.device_and_inode(library.path)
