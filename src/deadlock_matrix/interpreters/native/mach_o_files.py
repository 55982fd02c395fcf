"""Shared libraries of macOS, read from the file: needs, search paths, symbols.

The format is plain and old, and the libraries that read it load every section, 300 MB for torch.
Here the file is mapped, and only its commands and the symbols that others can see are touched.
Symbols come from the table for linkers, which strip leaves in a library that others link to; a
library that keeps its names for the loader alone shows none. This was tried on Linux with packages
made for macOS, not on a Mac.
"""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from deadlock_matrix.interpreters.native.file import Malformed, NativeFile, Range
from deadlock_matrix.interpreters.native.symbols import EXACT, IMPORTED, is_inexact

_UNIVERSAL = 0xCAFEBABE
_MAGICS = {b"\xcf\xfa\xed\xfe": ("<", 64), b"\xce\xfa\xed\xfe": ("<", 32)}
_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386"}
_SYMTAB, _DYSYMTAB, _ID, _RPATH, _SEGMENT, _SEGMENT_64 = 2, 11, 13, 0x8000001C, 1, 25
_LOADED = (12, 0x80000018, 0x8000001F, 0x80000023)  # plainly, weakly, as its own, upward
_CONSTANTS = (b"__cstring", b"__const")
_WEAK = 0x80  # in a symbol's description: of two definitions in a process both use one
_MOST_COMMANDS = 100_000


def read_mach_o(path: str) -> NativeFile:
    """Read one file; of a universal one, the part for the processor that this runs on.

    Raises:
        Malformed: It could not be loaded.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as stream:
        try:
            with mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
                parts = [_Part(path, data, start) for start in _parts(data)]
                own = [part for part in parts if part.machine == platform.machine()]
                return (own or parts)[0].describe()
        except (ValueError, KeyError, IndexError, struct.error) as error:
            raise Malformed(f"not a readable Mach-O file: {error}") from None


def _parts(data: mmap) -> list[int]:
    magic, count = struct.unpack_from(">II", data)
    if magic != _UNIVERSAL:
        return [0]
    return [struct.unpack_from(">5I", data, 8 + 20 * at)[2] for at in range(min(count, 16))]


class _Part:
    def __init__(self, path: str, data: mmap, start: int) -> None:
        self.path, self.data, self.start = path, data, start
        self.order, self.bits = _MAGICS[data[start : start + 4]]
        processor, _, _, count = struct.unpack_from(f"{self.order}4I", data, start + 4)
        self.machine = _MACHINES.get(processor, hex(processor))
        self.commands = list(self._commands(min(count, _MOST_COMMANDS)))
        # Where the entries for symbols are, how many there are, and the same for their names.
        self.symtab = self._numbers(_SYMTAB, 4)
        # Here the third and fourth number are for those it defines, the next two for those it
        # needs.
        self.dysymtab = self._numbers(_DYSYMTAB, 6)

    def describe(self) -> NativeFile:
        # In the file an underscore precedes each name.
        exact = {b"_" + name.encode() for name in EXACT}
        exports = {
            name[1:].decode(): weak
            for name, weak in self._symbols(*self.dysymtab[2:4])
            if name in exact or is_inexact(name[1:])
        }
        missing = {name[1:] for name, _ in self._symbols(*self.dysymtab[4:6])}
        own = self._texts(_ID)
        return NativeFile(
            path=self.path,
            name=own[0] if own else "",
            machine=self.machine,
            needs=tuple(dict.fromkeys(self._texts(*_LOADED))),
            rpath=self._texts(_RPATH),
            exports=exports,
            imports=frozenset(name for name in IMPORTED if name.encode() in missing),
            texts=tuple(self._constants()) if exports else (),
            names=((self.start + self.symtab[2], self.symtab[3]),),
        )

    def _commands(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield each command's kind and position."""
        at = self.start + (32 if self.bits == 64 else 28)
        for _ in range(count):
            kind, size = struct.unpack_from(f"{self.order}II", self.data, at)
            yield kind, at
            if size < 8:
                raise ValueError("a command without size")
            at += size

    def _numbers(self, kind: int, count: int) -> tuple[int, ...]:
        for each, at in self.commands:
            if each == kind:
                return struct.unpack_from(f"{self.order}{count}I", self.data, at + 8)
        return (0,) * count

    def _texts(self, *kinds: int) -> tuple[str, ...]:
        found = []
        for kind, at in self.commands:
            if kind in kinds:
                (inside,) = struct.unpack_from(f"{self.order}I", self.data, at + 8)
                end = self.data.find(b"\0", at + inside)
                found.append(os.fsdecode(self.data[at + inside : end]))
        return tuple(found)

    def _symbols(self, first: int, count: int) -> Iterator[tuple[bytes, bool]]:
        """Yield names, and whether they are weak, of one part of the table."""
        layout = struct.Struct(self.order + ("IBBHQ" if self.bits == 64 else "IBBHI"))
        start = self.start + self.symtab[0] + first * layout.size
        names = self.start + self.symtab[2]
        for at, _, _, description, _ in layout.iter_unpack(
            self.data[start : start + count * layout.size]
        ):
            yield (
                self.data[names + at : self.data.find(b"\0", names + at)],
                bool(description & _WEAK),
            )

    def _constants(self) -> Iterator[Range]:
        for kind, at in self.commands:
            if kind not in (_SEGMENT, _SEGMENT_64):
                continue
            head, layout = (72, "16s16sQQI28x") if kind == _SEGMENT_64 else (56, "16s16sIII24x")
            section = struct.Struct(self.order + layout)
            (count,) = struct.unpack_from(f"{self.order}I", self.data, at + head - 8)
            for index in range(count):
                name, _, _, size, offset = section.unpack_from(
                    self.data, at + head + index * section.size
                )
                if name.rstrip(b"\0") in _CONSTANTS and offset:
                    yield self.start + offset, size
