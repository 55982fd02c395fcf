"""What the numerical libraries of an interpreter mean for somebody who has a hang."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from deadlock_matrix.diagnosis.libraries import of_kind, short_name
from deadlock_matrix.diagnosis.study.study import Finding
from deadlock_matrix.diagnosis.text import base_name, listed
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary

_MATTERING = ("numpy", "torch")
_PRODUCTS = {
    "libmkl_": "MKL", "mkl_": "MKL", "libopenblas": "OpenBLAS", "libscipy_openblas": "OpenBLAS",
    "libblis": "BLIS", "libflexiblas": "FlexiBLAS", "libgomp": "libgomp", "libiomp5": "libiomp5",
    "libomp": "libomp", "libtbb": "TBB",
}  # fmt: skip


def findings(fingerprint: Fingerprint) -> tuple[Finding, ...]:
    """Return what is worth knowing about an interpreter; empty if its libraries are unreadable."""
    if not isinstance(fingerprint.libraries, Known):
        return ()
    libraries = fingerprint.libraries.value
    return (
        *_several_openmp(libraries),
        *_different_blas(libraries),
        *_threading_layer(libraries),
        *_shared_symbols(libraries),
        *_unforeseen(fingerprint, libraries),
    )


def contents(fingerprint: Fingerprint) -> Iterator[str]:
    """Yield one line about the libraries; none if there are none, or they could not be read."""
    libraries = fingerprint.libraries
    if isinstance(libraries, Known) and (line := libraries_line(libraries.value)):
        yield line


def libraries_line(libraries: Sequence[NativeLibrary]) -> str:
    """Return ``BLAS: MKL in numpy; OpenMP: libgomp, libiomp5``; omit what is not there.

    A BLAS is named with who loads it, as settings are for that; for OpenMP it matters that there
    are several in one process.
    """
    blas: dict[str, list[str]] = {}
    for each in libraries:
        if each.kind == LibraryKind.BLAS:
            users = blas.setdefault(each.name, [])
            users += [user for user in each.users if user not in users]
    parts = [f"{name} in {listed(users)}" if users else name for name, users in blas.items()]
    openmp = dict.fromkeys(each.name for each in libraries if each.kind == LibraryKind.OPENMP)
    lines = [("BLAS", parts), ("OpenMP", list(openmp))]
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in lines if names)


def _several_openmp(libraries: Sequence[NativeLibrary]) -> Iterator[Finding]:
    used = [library for library in of_kind(libraries, LibraryKind.OPENMP) if library.users]
    if len(used) < 2:
        return
    names = sorted({library.name for library in used})
    if len(names) > 1:
        told = ", ".join(f"{library.name} from {_users(library)}" for library in used)
        yield Finding(
            name="several-openmp-runtimes",
            sentence=f"{_number(len(names))} OpenMP runtimes: {told}",
            files=_files(used),
        )
    for name, copies in groupby(sorted(used, key=_name), _name):
        if len(same := list(copies)) > 1:
            told = ", ".join(f"one for {_users(library)}" for library in same)
            yield Finding(
                name="copies-of-openmp",
                sentence=f"{_number(len(same))} copies of {name}: {told}",
                files=_files(same),
            )


def _different_blas(libraries: Sequence[NativeLibrary]) -> Iterator[Finding]:
    by_user = {
        user: [each for each in of_kind(libraries, LibraryKind.BLAS) if user in each.users]
        for user in _MATTERING
    }
    first, second = (by_user[user] for user in _MATTERING)
    # torch needs numpy: what is said about it includes numpy's.
    own = [library for library in second if library not in first]
    if first and own and {each.name for each in own} != {each.name for each in first}:
        yield Finding(
            name="different-blas",
            sentence=f"numpy computes on {_told(first)}, torch on {_told(own)}",
            files=_files([*first, *own]),
        )


def _threading_layer(libraries: Sequence[NativeLibrary]) -> Iterator[Finding]:
    for library in of_kind(libraries, LibraryKind.BLAS):
        if library.name != "MKL":
            continue
        where = f"{base_name(library.path)} ({_users(library)})"
        if library.static:
            sentence = f"MKL is static in {where}: MKL_THREADING_LAYER has no effect there"
            yield Finding(name="mkl-static", sentence=sentence, files=(library.path,))
        else:
            sentence = f"MKL is dynamic, {where}: MKL_THREADING_LAYER chooses its threads"
            yield Finding(name="mkl-dynamic", sentence=sentence, files=(library.path,))


def _shared_symbols(libraries: Sequence[NativeLibrary]) -> Iterator[Finding]:
    symbols = sorted({symbol for each in libraries for symbol in each.shared_symbols})
    for symbol in symbols:
        sharing = [each for each in libraries if symbol in each.shared_symbols]
        versions = {short_name(each) for each in sharing}
        if len(sharing) > 1 and len(versions) > 1:
            told = " and ".join(f"{short_name(each)} in {_users(each)}" for each in sharing)
            yield Finding(
                name="shared-object-of-two-versions",
                sentence=f"{told} both export {symbol}, so that they share one object",
                files=_files(sharing),
            )


def _unforeseen(fingerprint: Fingerprint, libraries: Sequence[NativeLibrary]) -> Iterator[Finding]:
    """Yield what running showed and the files did not: that difference is itself a finding.

    Products are compared, not files: what MKL loads by itself when it runs is MKL too.
    """
    foreseen = {library.name for library in libraries}
    for module, fact in fingerprint.running.items():
        if not isinstance(fact, Known):
            yield Finding(
                name="does-not-run",
                sentence=f"{module} could not be measured: {fact.reason}",
                files=(),
            )
            continue
        mapped = fact.value.mapped
        paths = mapped.or_else(())
        extra = tuple(path for path in paths if _product(base_name(path)) not in foreseen)
        if extra := tuple(path for path in extra if _product(base_name(path))):
            names = ", ".join(base_name(path) for path in extra)
            yield Finding(
                name="not-told-by-files",
                sentence=f"import {module} maps {names}, which no file told",
                files=extra,
            )


def _product(file: str) -> str:
    """Return the product that a file's name reveals; empty if none."""
    return next((name for begin, name in _PRODUCTS.items() if file.startswith(begin)), "")


def _name(library: NativeLibrary) -> str:
    return library.name


def _users(library: NativeLibrary) -> str:
    return ", ".join(library.users) or "nobody"


def _told(libraries: Sequence[NativeLibrary]) -> str:
    return " and ".join(dict.fromkeys(short_name(library) for library in libraries))


def _files(libraries: Iterable[NativeLibrary]) -> tuple[str, ...]:
    return tuple(library.path for library in libraries)


def _number(number: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(number, str(number))
