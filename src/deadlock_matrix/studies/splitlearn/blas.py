"""Which BLAS a process had loaded when it ended, or hung, and what chose its threads."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deadlock_matrix.diagnosis.libraries import of_kind, short_name
from deadlock_matrix.diagnosis.study.results import NotShown, Results
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult

# The layers of a dynamic MKL: one of them is loaded on the first request for a product.
_LAYER = re.compile(r"(?:lib)?mkl_(intel_thread|gnu_thread|tbb_thread|sequential)\b")
_LAYER_NAMES = {
    "intel_thread": "INTEL",
    "gnu_thread": "GNU",
    "tbb_thread": "TBB",
    "sequential": "SEQUENTIAL",
}
PRODUCT = "multiply"
"""The endings of the names of entries that ask numpy for a product of matrices."""
_ASKED = "numpy"  # the entries ask for its product of matrices


def mapped(result: CellResult) -> Known[tuple[str, ...]] | Unknown:
    """Return the libraries that the processes of a cell had mapped: at its end, or when it hung."""
    observation = result.seen
    if observation is None:
        return unknown(result.why)
    if isinstance(observation.probe, Known):
        return observation.probe.value.native_libraries
    if not isinstance(observation.evidence, Known):
        return unknown(observation.probe.reason)
    processes = observation.evidence.value.after.processes
    facts = [process.libraries for process in processes]
    paths = dict.fromkeys(
        library.path for fact in facts if isinstance(fact, Known) for library in fact.value
    )
    for fact in facts:
        if isinstance(fact, Unknown):
            return fact
    return known(tuple(paths), "/proc/PID/maps of every process, while it hung")


def blas_in_effect(
    result: CellResult, fingerprint: Known[Fingerprint] | Unknown
) -> Known[str] | Unknown:
    """Return the BLAS that numpy computes on in a cell: "MKL GNU", "OpenBLAS 0.3.21 (pthreads)".

    Args:
        result: The result of a cell whose entry asks numpy for a product of matrices.
        fingerprint: That of its interpreter; it distinguishes BLAS libraries that have no layers.
    """
    paths = mapped(result)
    if isinstance(paths, Unknown):
        return paths
    if layers := _layers(paths.value):
        return known(f"MKL {' and '.join(layers)}", paths.source)
    if isinstance(fingerprint, Unknown):
        return fingerprint
    libraries = fingerprint.value.libraries
    if isinstance(libraries, Unknown):
        return libraries
    loaded = [
        library
        for library in of_kind(libraries.value, LibraryKind.BLAS)
        if library.path in paths.value and _ASKED in library.users and not library.static
    ]
    if not loaded:
        return unknown(f"no BLAS is mapped that the files of {_ASKED} name")
    names = dict.fromkeys(short_name(library) for library in loaded)
    return known(" and ".join(names), f"{paths.source}; names and versions from the files")


def asks_for_a_product(cell: Cell) -> bool:
    """Return whether the entry asks numpy for a product of matrices."""
    return cell.entry.name.endswith(PRODUCT)


def blas_of(results: Results, entry: str, **axes: str) -> str:
    """Return the BLAS that numpy computed on in one point of the matrix; raise as `Results.cells`.

    Raises:
        NotShown: Also if that is unknown, or not the same in every run.
    """
    names = set()
    for result in results.cells(entry, **axes):
        found = blas_in_effect(result, results.fingerprint)
        if isinstance(found, Unknown):
            raise NotShown(found.reason)
        names.add(found.value)
    if len(names) != 1:
        raise NotShown(f"{entry} ran on {' or '.join(sorted(names))}")
    return names.pop()


def blas_of_product(result: CellResult, fingerprint: Known[Fingerprint] | Unknown) -> str:
    """Return the BLAS that numpy computed on, in words; empty if the entry asks for no product."""
    if not asks_for_a_product(result.cell):
        return ""
    found = blas_in_effect(result, fingerprint)
    return found.or_else("an unknown BLAS")


def _layers(paths: Iterable[str]) -> list[str]:
    found = (_LAYER.search(base_name(path)) for path in paths)
    return sorted({_LAYER_NAMES[match[1]] for match in found if match})
