"""Which variables change how numerical libraries make threads, and which libraries these are."""

from __future__ import annotations

import re

from deadlock_matrix.diagnosis.investigation.clues import Wait
from deadlock_matrix.diagnosis.investigation.fitting import Setting
from deadlock_matrix.diagnosis.text import base_name

_POOLS = re.compile(r"^lib(mkl|gomp|iomp|omp\b|tbb|openblas|blis|blas|lapack|torch_cpu)|^libscipy_")
_NATIVE = frozenset({Wait.NATIVE, Wait.GIL})

SETTINGS = (
    Setting(name="OMP_NUM_THREADS", value="1", waits=_NATIVE, summary="one OpenMP thread"),
    Setting(name="OPENBLAS_NUM_THREADS", value="1", waits=_NATIVE, summary="one OpenBLAS thread"),
    Setting(name="MKL_THREADING_LAYER", value="SEQUENTIAL", waits=_NATIVE,
            summary="MKL without threads"),
    Setting(name="KMP_INIT_AT_FORK", value="FALSE", waits=_NATIVE,
            summary="Intel's and LLVM's OpenMP do not start again in a forked child"),
)  # fmt: skip


def is_pool(path: str) -> bool:
    """Return whether a library is one of those that compute with threads and call one another."""
    return _POOLS.search(base_name(path)) is not None
