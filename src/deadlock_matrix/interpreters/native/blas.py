"""Which BLAS a native file holds, its version, and how it makes threads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deadlock_matrix.interpreters.native import symbols
from deadlock_matrix.interpreters.native.file import NativeFile, find_text
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.interpreters.native.products import (
    Product,
    Version,
    describe_openmp,
    openmp_name,
    read_version,
)
from deadlock_matrix.model.fact import Known, known, unknown

AT_RUN_TIME = "chosen at run time"
MKL_LAYERS = {
    "mkl_intel_thread": "OpenMP (libiomp5)",
    "mkl_gnu_thread": "OpenMP (libgomp)",
    "mkl_tbb_thread": "TBB",
    "mkl_sequential": "serial",
}
_MKL_TEXT = r"Intel\(R\) (?:oneAPI )?Math Kernel Library Version "
_MKL_BUILD = r"(20\d{6})\0" + _MKL_TEXT
_ACCELERATE = re.compile(r"/System/Library/Frameworks/(Accelerate|vecLib)\.framework/")
_OTHERS = (
    # Makers that the name of the file alone reveals, or one symbol.
    (symbols.FLEXIBLAS, r"libflexiblas(?=[.-])", "FlexiBLAS", AT_RUN_TIME),
    (symbols.ATLAS, r"lib[st]?atlas(?=[.-])", "ATLAS", ""),
    (symbols.ARM_PL, r"(lib)?armpl", "Arm Performance Libraries", ""),
    ("", r"libnvpl_blas", "NVPL", ""),
)


def recognise_blas(file: NativeFile, needed: Sequence[NativeFile]) -> Product | None:
    """Return the BLAS in a file, or ``None`` if none could be recognised.

    Args:
        file: Any native file.
        needed: The files that were resolved for what it needs.
    """
    exports = file.exports
    if re.match(r"(lib)?mkl_", file.base):
        return _recognise_mkl(file, needed) if _is_mkl(file.base) else None
    if any(name in exports for name in symbols.MKL) or _has_hidden_mkl(file):
        return _recognise_mkl(file, needed)
    if any(symbols.OPENBLAS.fullmatch(name) for name in exports):
        return _recognise_openblas(file, needed)
    for symbol, name, make, threading in _OTHERS:
        if symbol in exports or re.match(name, file.base):
            return _product(make, file, unknown("the file does not tell"), threading, name)
    if _ACCELERATE.match(file.path):
        return _product("Accelerate", file, unknown("it is a part of macOS"), "", ".")
    if symbols.BLIS in exports:
        return _recognise_blis(file, needed)
    if any(name in exports for name in symbols.BLAS):
        return _recognise_by_text(file, needed)
    return None


def _is_mkl(base: str) -> bool:
    return bool(re.match(r"(lib)?mkl_(rt|core)\b", base))


def _has_hidden_mkl(file: NativeFile) -> bool:
    # A DLL exports only what it is told to; torch's does not export MKL's functions.
    return file.base.endswith(".dll") and find_text(file, _MKL_TEXT, file.texts) is not None


def _recognise_mkl(file: NativeFile, needed: Sequence[NativeFile]) -> Product:
    version = read_version(file, _MKL_BUILD)
    if isinstance(version, Known):
        version = known(f"build {version.value}", version.source)
    if file.base.startswith(("libmkl_rt", "mkl_rt")):
        threading = AT_RUN_TIME
    elif _is_mkl(file.base):
        threading = ""  # a separate library, loaded beside it, makes the threads
    elif symbols.MKL_OPENMP in file.exports or file.base.endswith(".dll"):
        threading = describe_openmp(file, needed)
    elif any("tbb" in each.base for each in needed):
        threading = "TBB"
    else:
        threading = "serial"
    return _product("MKL", file, version, threading, r"(lib)?mkl_")


def _recognise_openblas(file: NativeFile, needed: Sequence[NativeFile]) -> Product:
    if symbols.OPENBLAS_POOL in file.exports:
        threading = "pthreads"
    elif symbols.OPENBLAS_THREADS in file.exports:
        threading = describe_openmp(file, needed) or "OpenMP"
    elif file.base.endswith((".dll", ".dylib")):
        threading = describe_openmp(file, needed)  # these may export less than they hold
    else:
        threading = "serial"
    version = read_version(file, r"OpenBLAS (\d+\.\d+[\w.-]*) ")
    return _product("OpenBLAS", file, version, threading, r".*(openblas|lib(c?blas|lapack))")


def _recognise_blis(file: NativeFile, needed: Sequence[NativeFile]) -> Product:
    threading = describe_openmp(file, needed)
    if not threading:
        reads = find_text(file, r"BLIS_NUM_THREADS\0", file.texts)
        threading = "pthreads" if reads else "serial"
    version = read_version(file, r"native\0(\d+\.\d+[\w.-]*)\0")
    return _product("BLIS", file, version, threading, r"lib(blis|c?blas)")


def _recognise_by_text(file: NativeFile, needed: Sequence[NativeFile]) -> Product | None:
    """Recognise a file with BLAS's own functions but no maker's: wrapper, BLIS, or reference."""
    if any(recognise_blas(each, ()) for each in needed if each is not file):
        return None  # it delegates to that one
    if find_text(file, r"libblis: ", file.texts):
        return _recognise_blis(file, needed)
    threads = file.imports or any(map(openmp_name, needed))
    if re.match(r"(lib)?(ref)?blas(64)?[.-]", file.base) and not threads:
        release = re.search(r"\.so\.(\d+\.\d+[\d.]*)$", file.base)
        version = known(release[1], "its file name") if release else unknown("nothing tells")
        return _product("reference BLAS", file, version, "serial", r".")
    return _product("unrecognised BLAS", file, unknown("its maker is not known"), "", r".*blas")


def _product(name: str, file: NativeFile, version: Version, threading: str, own: str) -> Product:
    return Product(
        name=name,
        kind=LibraryKind.BLAS,
        static=not re.match(own, file.base),
        version=version,
        threading=threading,
    )
