"""Files read from this process's own memory say the same as from the disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deadlock_matrix.capture.elf import SYMBOLS, Unusable, loaded
from deadlock_matrix.capture.memory import Memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/mem")


@pytest.fixture
def memory() -> Iterator[Memory]:
    directory = os.open("/proc/self", os.O_RDONLY)
    with Memory(os.getpid(), directory) as opened:
        yield opened
    os.close(directory)


def on_the_disk(path: str) -> tuple[dict[str, int], set[str], set[str]]:
    """Symbols, versions and needed libraries, by pyelftools."""
    from elftools.elf.elffile import ELFFile

    with Path(path).open("rb") as stream:
        elf = ELFFile(stream)
        symbols: dict[str, int] = {}
        section = elf.get_section_by_name(".dynsym")
        for symbol in section.iter_symbols() if section else ():
            if symbol.name in SYMBOLS and symbol["st_value"]:
                symbols[symbol.name] = symbol["st_value"]
        defined = elf.get_section_by_name(".gnu.version_d")
        versions = (
            {name.name for _, names in defined.iter_versions() for name in [next(iter(names))]}
            if defined
            else set()
        )
        needs = {
            tag.needed
            for segment in elf.iter_segments("PT_DYNAMIC")
            for tag in segment.iter_tags("DT_NEEDED")
        }
        return symbols, versions, needs


def test_every_library_says_in_memory_what_it_says_on_the_disk(memory: Memory) -> None:
    compared = 0
    seen: set[str] = set()
    for library in memory.maps.libraries():
        mapping = memory.maps.find(library.start)
        assert mapping is not None
        found = loaded(memory, mapping).file
        symbols, versions, needs = on_the_disk(library.path)
        assert {name: address for name, (address, _) in found.symbols.items()} == symbols
        assert set(found.versions) == versions
        assert set(found.needs) == needs
        seen |= found.symbols.keys()
        compared += 1
    assert compared > 3
    assert {"_PyRuntime", "syscall"} <= seen


def test_what_is_no_file_is_unusable(memory: Memory) -> None:
    stack = next(
        mapping
        for line in Path("/proc/self/maps").read_bytes().splitlines()
        if line.endswith(b"[stack]")
        and (mapping := memory.maps.find(int(line.split(b"-")[0], 16))) is not None
    )
    with pytest.raises(Unusable, match="not a file"):
        loaded(memory, stack)
