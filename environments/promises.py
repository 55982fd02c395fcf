"""What a recipe promises, held against what its interpreter was measured to be.

A promise is ``numpy = "PRODUCT"`` or ``"PRODUCT (HOW)"`` for the BLAS that a module uses, where HOW
is how it makes threads, or "static" for one that is a part of the module's own library; and
``openmp = [RUNTIME, ...]`` for runtimes that must be there. Only what is *known* to be otherwise
breaks one: an import that hangs is what the matrix is for, and no reason to leave it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    NativeLibrary,
    Running,
)

OPENMP = "openmp"

_PRODUCTS = {
    "mkl": "MKL",
    "openblas": "OpenBLAS",
    "blis": "BLIS",
    "flexiblas": "FlexiBLAS",
}  # threadpoolctl's words, and those of `NativeLibrary.name`
_WORDS = {"disabled": "serial", "unknown": ""}  # threadpoolctl's words for OpenBLAS's layers


def find_broken(promises: Mapping[str, Any], found: Known[Fingerprint] | Unknown) -> list[str]:
    """The promises that are known not to hold, each as half a sentence.

    Args:
        promises: Of a recipe.
        found: What its interpreter is. One that is unknown breaks them all: it does not even say
            which version it is.
    """
    if isinstance(found, Unknown):
        return [f"it {found.reason}"] if promises else []
    return list(_broken(promises, found.value))


def _broken(promises: Mapping[str, Any], found: Fingerprint) -> Iterator[str]:
    for subject, promised in promises.items():
        seen = _runtimes(found) if subject == OPENMP else _blas(subject, found)
        if isinstance(seen, Unknown):
            continue
        wanted = promised if isinstance(promised, list | tuple) else [promised]
        if lacking := [each for each in wanted if each not in seen]:
            whose = "has" if subject == OPENMP else f"uses in {subject}"
            yield (
                f"promised is {', '.join(lacking)}, but what it {whose} is "
                f"{', '.join(sorted(seen)) or 'none'}"
            )


def _blas(module: str, found: Fingerprint) -> set[str] | Unknown:
    """Every name that the BLAS of a module goes by, as its files and its running show it."""
    if module not in found.packages:
        return set()
    if isinstance(found.libraries, Unknown):
        return found.libraries
    libraries = [
        library
        for library in found.libraries.value
        if library.kind == LibraryKind.BLAS and module in library.users
    ]
    measured = _measured(found.running.get(module), {library.path for library in libraries})
    # What ran is nearer to the truth than what files say, but shows nothing of a static one.
    told = [library for library in libraries if library.static or not measured]
    return measured.union(*(_names(library) for library in told))


def _measured(running: Known[Running] | Unknown | None, paths: set[str]) -> set[str]:
    if not isinstance(running, Known) or isinstance(running.value.pools, Unknown):
        return set()
    rows = [pool for pool in running.value.pools.value if pool.name in _PRODUCTS]
    # A module imports others: their BLAS is in the process too, but not its own.
    own = [pool for pool in rows if pool.path in paths]
    if running.value.module == "numpy":
        own = rows  # it imports none
    return {name for pool in own for name in _spellings(_PRODUCTS[pool.name], pool.layer)}


def _names(library: NativeLibrary) -> tuple[str, ...]:
    return _spellings(library.name, "static" if library.static else library.threading)


def _spellings(product: str, how: str) -> tuple[str, ...]:
    how = _WORDS.get(how, how)
    plain = how.partition(" (")[0].lower()  # "OpenMP (libgomp)" is told as "openmp"
    return (product, f"{product} ({plain})") if how else (product,)


def _runtimes(found: Fingerprint) -> set[str] | Unknown:
    mapped = [
        path.rpartition("/")[2]
        for running in found.running.values()
        if isinstance(running, Known) and isinstance(running.value.mapped, Known)
        for path in running.value.mapped.value
    ]
    by_files: list[str] = []
    if isinstance(found.libraries, Known):
        by_files = [each.name for each in found.libraries.value if each.kind == LibraryKind.OPENMP]
    elif not mapped:
        return found.libraries
    names = ("libgomp", "libiomp5", "libomp")
    return {*by_files, *(name for name in names for file in mapped if file.startswith(name))}
