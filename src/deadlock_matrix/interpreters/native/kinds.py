"""What a native library is for, as far as it matters to a hang: the values of its ``kind``."""

from __future__ import annotations

from enum import StrEnum


class LibraryKind(StrEnum):
    """The kinds that are looked for."""

    BLAS = "blas"
    OPENMP = "openmp"
    THREADS = "threads"  # a thread pool of another make, such as TBB
    PROTOBUF = "protobuf"
    ABSEIL = "abseil"
