"""Shared libraries of Linux, read from the file: needs, search paths, symbols of interest.

Everything comes from the dynamic segment, which the loader itself needs, so a file without section
headers can be read as well. pyelftools makes objects of every section of a file as soon as its
dynamic segment is requested, 5 ms each; so the tags are taken from their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from deadlock_matrix.interpreters.native.file import Malformed, NativeFile, Range
from deadlock_matrix.interpreters.native.symbols import EXACT, IMPORTED, find_inexact

_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ = 1, 4, 5, 6, 10
_SONAME, _RPATH, _RUNPATH, _GNU_HASH = 14, 15, 29, 0x6FFFFEF5
_WEAK = ("STB_WEAK", "STB_LOOS")  # STB_LOOS: GNU's "unique", one object for the whole process
_LARGEST_NAMES = 256 << 20


def read_elf(path: str) -> NativeFile:
    """Read one file.

    Raises:
        Malformed: It starts like an ELF file, but could not be loaded.
        OSError: It cannot be read.
    """
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    with Path(path).open("rb") as stream:
        try:
            return _File(path, stream, ELFFile(stream)).describe()
        except (
            ELFError,
            ConstructError,
            struct.error,
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            ArithmeticError,
            AssertionError,
        ) as error:
            raise Malformed(f"not a readable ELF file: {error or type(error).__name__}") from None


class _File:
    def __init__(self, path: str, stream: IO[bytes], elf: Any) -> None:
        self.path, self.stream, self.elf = path, stream, elf
        self.order = "<" if elf.little_endian else ">"
        self.segments = [self._segment(at) for at in range(elf.header["e_phnum"])]
        self.tags = list(self._tags())
        names, size = self._offset(_STRTAB), self._first(_STRSZ)
        self.names_at: Range = (names, size) if names is not None and size else (0, 0)
        if self.names_at[1] > _LARGEST_NAMES:
            raise Malformed("its table of names has no sensible size")
        self.names = self._read(*self.names_at)

    def describe(self) -> NativeFile:
        exports = dict(self._exports())
        soname = self._texts(_SONAME)
        return NativeFile(
            path=self.path,
            name=soname[0] if soname else "",
            machine=f"{self.elf.header['e_machine']} of {self.elf.elfclass} bits",
            needs=self._texts(_NEEDED),
            rpath=self._folders(_RPATH),
            runpath=self._folders(_RUNPATH),
            exports=exports,
            imports=frozenset(
                name
                for name in IMPORTED
                if name not in exports and name.encode() + b"\0" in self.names
            ),
            texts=tuple(self._constants()) if exports else (),
            names=(self.names_at,),
        )

    def get_symbol(self, index: int) -> Any:
        """Return an entry of the symbol table with its name, as pyelftools' hash tables require."""
        from elftools.common.utils import struct_parse
        from elftools.elf.sections import Symbol

        layout = self.elf.structs.Elf_Sym
        at = (self._offset(_SYMTAB) or 0) + index * layout.sizeof()
        entry = struct_parse(layout, self.stream, stream_pos=at)
        return Symbol(entry, self._name(entry["st_name"]))

    def _exports(self) -> Iterator[tuple[str, bool]]:
        from elftools.elf.hash import ELFHashTable, GNUHashTable

        table: Any = None
        if (at := self._offset(_GNU_HASH)) is not None:
            table = GNUHashTable(self.elf, at, self)
        elif (at := self._offset(_HASH)) is not None:
            table = ELFHashTable(self.elf, at, None, self)
        if table is None or self._offset(_SYMTAB) is None:
            return
        for name in (*EXACT, *dict.fromkeys(find_inexact(self.names))):
            symbol = table.get_symbol(name)
            if symbol is not None and symbol["st_shndx"] != "SHN_UNDEF":
                yield name, symbol["st_info"]["bind"] in _WEAK

    def _segment(self, index: int) -> Any:
        from elftools.common.utils import struct_parse

        header = self.elf.header
        at = header["e_phoff"] + index * header["e_phentsize"]
        return struct_parse(self.elf.structs.Elf_Phdr, self.stream, stream_pos=at)

    def _tags(self) -> Iterator[tuple[int, int]]:
        layout = self.order + ("qQ" if self.elf.elfclass == 64 else "iI")
        size = struct.calcsize(layout)
        for segment in self.segments:
            if segment["p_type"] == "PT_DYNAMIC":
                data = self._read(segment["p_offset"], segment["p_filesz"])
                for tag, value in struct.iter_unpack(layout, data[: len(data) // size * size]):
                    if tag == 0:
                        return
                    yield tag, value

    def _first(self, tag: int) -> int | None:
        return next((value for each, value in self.tags if each == tag), None)

    def _offset(self, tag: int) -> int | None:
        """Return where in the file the address lies that the tag gives."""
        address = self._first(tag)
        for segment in self.segments if address is not None else ():
            inside = (address or 0) - segment["p_vaddr"]
            if segment["p_type"] == "PT_LOAD" and 0 <= inside < segment["p_filesz"]:
                return int(segment["p_offset"] + inside)
        return None

    def _read(self, offset: int, size: int) -> bytes:
        self.stream.seek(offset)
        return self.stream.read(size)

    def _name(self, at: int) -> str:
        end = self.names.find(b"\0", at)
        return self.names[at : end if end >= 0 else None].decode("utf-8", "surrogateescape")

    def _texts(self, tag: int) -> tuple[str, ...]:
        return tuple(self._name(value) for each, value in self.tags if each == tag)

    def _folders(self, tag: int) -> tuple[str, ...]:
        return tuple(folder for text in self._texts(tag) for folder in text.split(":") if folder)

    def _constants(self) -> Iterator[Range]:
        # The segment with the constants may hold the code too, 300 MB of it: sections are finer.
        found = False
        for section in self.elf.iter_sections("SHT_PROGBITS"):
            if section.name.startswith((".rodata", ".lrodata")):
                found = True
                yield section["sh_offset"], section["sh_size"]
        for segment in self.segments if not found else ():
            if segment["p_type"] == "PT_LOAD":
                yield segment["p_offset"], segment["p_filesz"]
