"""What is kept of a file mapped into a process; `elf` reads it."""

from __future__ import annotations

from functools import cached_property

import msgspec


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One file. ``symbols`` maps a name to (address in the file's own numbering, size)."""

    machine: str  # "x86_64", "aarch64" or "ELF machine N"
    first_address: int  # of the first loaded segment, rounded down to a page
    symbols: dict[str, tuple[int, int]]
    versions: tuple[str, ...]  # that it defines: "GLIBC_2.36", ...
    needs: tuple[str, ...]
    dynamic: bool

    @cached_property
    def is_glibc(self) -> bool:
        """Whether it is a part of glibc: nobody else defines versions named ``GLIBC_``.

        libc.so.6, the loader, and up to glibc 2.33 also libpthread.so.0, which held the locks.
        """
        return any(version.startswith("GLIBC_") for version in self.versions)

    @cached_property
    def is_musl(self) -> bool:
        """Whether it is musl: loader, C library and locks in one file that needs no other."""
        exported = {"__libc_start_main", "pthread_mutex_lock"} <= self.symbols.keys()
        return exported and not self.needs and not self.is_glibc and self.dynamic


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file at its place in memory: add ``bias`` to its own addresses."""

    path: str
    file: ElfFile
    bias: int

    def range_of(self, symbol: str) -> tuple[int, int] | None:
        """Return the first address of an exported symbol and the one behind its last; None without
        it.
        """
        found = self.file.symbols.get(symbol)
        if found is None:
            return None
        return self.bias + found[0], self.bias + found[0] + found[1]
