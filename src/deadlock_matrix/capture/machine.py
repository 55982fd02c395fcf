"""What kind of process it is: architecture and C library of a target, and the kernel below it."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from deadlock_matrix.capture.elf import DELETED, Unusable, loaded
from deadlock_matrix.capture.foreign import open_regular, reading
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import open_directory
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Machine

_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine, elf.h
_BITS = {1: 32, 2: 64}  # EI_CLASS
UNSUPPORTED = "unsupported"

_BANNER = re.compile(rb"stable release version (\d+\.\d+)")
_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)")


def header_of(pid: int) -> tuple[str, int]:
    """Return architecture and pointer size in bits, from the ELF header of the executable.

    The observer's own, where the executable cannot be read.
    """
    try:
        with reading(f"the executable of process {pid}"):
            head = _head_of(f"/proc/{pid}/exe")
    except OSError:
        return platform.machine(), sys.maxsize.bit_length() + 1
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return platform.machine(), sys.maxsize.bit_length() + 1
    number = int.from_bytes(head[18:20], "little")
    return _ELF_MACHINES.get(number, f"ELF machine {number}"), _BITS.get(head[4], 0)


def _head_of(path: str) -> bytes:
    descriptor = open_regular(path)
    try:
        return os.pread(descriptor, 20, 0)
    finally:
        os.close(descriptor)


def table_architecture(pid: int) -> str:
    """Return the architecture whose table names system calls; a 32-bit process has none here."""
    architecture, bits = header_of(pid)
    return architecture if bits == 64 else UNSUPPORTED


def machine_of(pid: int) -> Machine:
    """Return the facts that numbers in a snapshot depend on.

    Raises:
        CaptureError: A 32-bit process, whose structures have another layout.
    """
    architecture, bits = header_of(pid)
    if bits == 32:
        raise CaptureError(
            f"process {pid} is a 32-bit program; only 64-bit ones (x86_64, aarch64) are"
            " supported: run the 64-bit build of it."
        )
    return Machine(
        system="linux",
        architecture=architecture,
        kernel=platform.release(),
        libc=_libc_of(pid),
        pointer_bits=bits,
    )


def _libc_of(pid: int) -> str:
    """Return ``glibc 2.36``, ``musl``, or why it is not known."""
    try:
        directory = open_directory(f"/proc/{pid}")
    except OSError as error:
        return f"unknown: {os.strerror(error.errno or 0)}"
    try:
        with Memory(pid, directory) as memory:
            return _libc_in(memory)
    except (OSError, Unusable) as error:
        return f"unknown: {error}"
    finally:
        os.close(directory)


def _libc_in(memory: Memory) -> str:
    for library in memory.maps.libraries():
        name = Path(library.path.removesuffix(DELETED)).name
        if not name.startswith(("libc.", "libc-", "ld-musl")):
            continue
        mapping = memory.maps.find(library.start)
        if mapping is None:
            continue
        file = loaded(memory, mapping).file
        if file.is_musl:
            return "musl"
        if file.is_glibc and "__libc_start_main" in file.symbols:
            return f"glibc {_glibc_version(memory, library.path, file.versions)}"
    return "unknown: no C library is mapped (a static program?)"


def _glibc_version(memory: Memory, path: str, versions: tuple[str, ...]) -> str:
    """Return it from the banner that libc.so.6 prints when run, else the newest symbol version.

    The latter can be older than the library: not every release adds symbols.
    """
    for mapping in memory.maps.of_file(path):
        if mapping.permissions == "r--p":
            try:
                found = _BANNER.search(memory.read(mapping.start, mapping.end - mapping.start))
            except Unreadable:
                continue
            if found:
                return found[1].decode("ascii")
    pairs = [m for m in map(_VERSION.fullmatch, versions) if m]
    newest = max(((int(m[1]), int(m[2])) for m in pairs), default=(0, 0))
    return f"{newest[0]}.{newest[1]}"
