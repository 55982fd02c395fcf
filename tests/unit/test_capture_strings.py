"""Strings of every kind, read from this process's own memory as from another's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import ObjectLayout, layout_of
from deadlock_matrix.capture.python_strings import LONGEST, is_string, read_string

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/mem")


class Name(str):
    """A subclass, whose characters lie outside the object."""


class Slotted(str):
    """One whose size is that of another version's str."""

    __slots__ = ()


@pytest.fixture
def memory() -> Iterator[Memory]:
    directory = os.open("/proc/self", os.O_RDONLY)
    with Memory(os.getpid(), directory) as opened:
        yield opened
    os.close(directory)


@pytest.fixture
def layout(memory: Memory) -> ObjectLayout:
    return layout_of(memory, id(None))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "splitlearn_core",
        "/home/jürgen/naïve.py",
        "é",
        "/srv/проект/имя.py",
        "带 空格",
        "/tmp/🐍/😀.py",
        "mixed ä я 空 🐍",
        "line\nend\ttab\x00nul\x1b[31m",
        "\u00ff" * 300,
    ],
)
@pytest.mark.parametrize("kind", [str, Name, Slotted])
def test_text_of_every_width_is_read(
    memory: Memory, layout: ObjectLayout, text: str, kind: type[str]
) -> None:
    made = kind(text)
    assert is_string(memory, layout, id(made))
    assert read_string(memory, layout, id(made)) == text


def test_bytes_that_are_not_utf8_are_spelled_out(memory: Memory, layout: ObjectLayout) -> None:
    path = b"/tmp/\xff\xe9t\xe9/\xd0\xb8.py".decode("utf-8", "surrogateescape")
    assert read_string(memory, layout, id(path)) == r"/tmp/\xff\xe9t\xe9/и.py"
    lone = "a\ud800b"
    assert read_string(memory, layout, id(lone)) == r"a\ud800b"


def test_a_long_string_is_cut_visibly(memory: Memory, layout: ObjectLayout) -> None:
    text = "я" * (LONGEST + 1)
    assert read_string(memory, layout, id(text)) == "я" * LONGEST + "…"
    assert read_string(memory, layout, id(text), longest=3) == "яяя…"


@pytest.mark.parametrize("other", [7, b"bytes", None, (1, 2), object()])
def test_what_is_no_string_is_said_to_be_none(
    memory: Memory, layout: ObjectLayout, other: object
) -> None:
    assert not is_string(memory, layout, id(other))
    with pytest.raises(Unreadable):
        read_string(memory, layout, id(other))


def test_an_address_that_is_not_mapped_is_unreadable(memory: Memory, layout: ObjectLayout) -> None:
    with pytest.raises(Unreadable):
        read_string(memory, layout, 0x10)
