"""Names of symbols that show which product a native file holds.

Names that are known exactly are looked up in the file's hash table; a library such as libtorch_cpu
has 75,000. The others, which carry a release or a suffix, are found by a part of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MKL = ("MKL_Get_Version_String", "mkl_get_version_string", "mkl_serv_get_version_string")
MKL_OPENMP = "mkl_vml_serv_openmp_get_num_procs"  # only its two OpenMP layers define it
OPENBLAS_THREADS = "exec_blas"  # missing when it was built for one thread
OPENBLAS_POOL = "exec_blas_async"  # its own threads, not those of OpenMP
BLIS = "bli_info_get_version_str"
FLEXIBLAS = "flexiblas_get_version"
ATLAS = "ATL_buildinfo"
ARM_PL = "armplversion"
BLAS = ("dgemm_", "dgemm_64_")
GOMP_FORK = "GOMP_parallel"
GOMP_FORK_BEFORE_4_9 = "GOMP_parallel_start"
KMP_FORK = "__kmpc_fork_call"
VCOMP_FORK = "_vcomp_fork"
TBB = ("TBB_runtime_version", "TBB_runtime_interface_version")
PTHREADS = "pthread_create"
PROTOBUF = "_ZN6google8protobuf8internal13VerifyVersionEiiPKc"
# The variable inside google::protobuf::internal::ShutdownData::get().
PROTOBUF_SHUTDOWN = "_ZZN6google8protobuf8internal12ShutdownData3getEvE4data"

EXACT = (
    *MKL,
    MKL_OPENMP,
    OPENBLAS_THREADS,
    OPENBLAS_POOL,
    BLIS,
    FLEXIBLAS,
    ATLAS,
    ARM_PL,
    *BLAS,
    GOMP_FORK,
    GOMP_FORK_BEFORE_4_9,
    KMP_FORK,
    VCOMP_FORK,
    *TBB,
    PROTOBUF,
    PROTOBUF_SHUTDOWN,
)
IMPORTED = (GOMP_FORK, GOMP_FORK_BEFORE_4_9, KMP_FORK, PTHREADS)

OPENBLAS = re.compile(r"(?:[a-z]+_)?openblas_get_config\w{0,5}")
# The inline namespace contains the release: ``lts_20230802``; a distribution may have its own.
ABSEIL = re.compile(r"_ZN4absl(?:\d{1,2}(?P<release>[a-z]\w{0,30}?))?5Mutex4[Ll]ockEv")
ABSEIL_HOOK = re.compile(r"AbslInternalMutexYield\w{0,32}")
_PIECES = (
    (b"openblas_get_config", OPENBLAS),
    (b"5Mutex4", ABSEIL),
    (b"AbslInternalMutexYield", ABSEIL_HOOK),
)
_LONGEST = 120


def is_inexact(name: bytes) -> bool:
    """Return whether `OPENBLAS`, `ABSEIL` or `ABSEIL_HOOK` describes this name."""
    return any(
        piece in name and pattern.fullmatch(name.decode("ascii", "replace"))
        for piece, pattern in _PIECES
    )


def find_inexact(names: bytes) -> Iterator[str]:
    """Yield the names in a string table that `OPENBLAS`, `ABSEIL` and `ABSEIL_HOOK` describe."""
    for piece, _ in _PIECES:
        at = names.find(piece)
        while at >= 0:
            first = names.rfind(b"\0", max(0, at - _LONGEST), at) + 1
            end = names.find(b"\0", at, at + _LONGEST)
            name = names[first : max(end, first)]
            if is_inexact(name):
                yield name.decode("ascii")
            at = names.find(piece, at + len(piece))
