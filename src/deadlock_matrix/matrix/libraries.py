"""Which BLAS and OpenMP libraries packages carry, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from deadlock_matrix.matrix.question import Answer
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_LIBRARY = re.compile(r"\.(so(\.[\w.]+)?|dylib|dll|pyd)$", re.IGNORECASE)
_BLAS = (
    (re.compile(r"(lib)?mkl_rt\b"), "MKL (libmkl_rt)"),
    (re.compile(r"lib(scipy_)?openblas|^openblas", re.IGNORECASE), "OpenBLAS"),
    (re.compile(r"libblis\b"), "BLIS"),
    (re.compile(r"libflexiblas\b"), "FlexiBLAS"),
    (re.compile(r"libarmpl"), "Arm PL"),
    (re.compile(r"libnvpl_blas"), "NVPL"),
)
_OPENMP = (
    (re.compile(r"libgomp\b"), "libgomp"),
    (re.compile(r"libiomp5"), "libiomp5"),
    (re.compile(r"libomp(140)?[.\-]"), "libomp"),
    (re.compile(r"vcomp\d+"), "vcomp"),
)
_NUMERIC = ("numpy", "scipy", "torch")

Files = Mapping[str, tuple[str, ...]]


def read_blas(answer: Answer, packages: Mapping[str, str], files: Files) -> _Fact:
    """The BLAS libraries, as in "OpenBLAS in numpy.libs".

    Args:
        answer: Of the interpreter.
        packages: Its distributions' versions by name.
        files: From `list_libraries`.
    """
    found = _find(_BLAS, files)
    if reason := _system_reason(answer, packages):
        return unknown(reason + _by_names(found))
    if "torch" in packages and not any("in torch/" in each for each in found):
        return unknown(
            "torch's own library may carry a BLAS (MKL, Accelerate) that file names do not show"
            + _by_names(found)
        )
    return known(found, "names of the libraries that the packages list")


def read_openmp(answer: Answer, packages: Mapping[str, str], files: Files) -> _Fact:
    """The OpenMP runtimes, as in "libgomp in torch/lib"; arguments as for `read_blas`."""
    found = _find(_OPENMP, files)
    if reason := _system_reason(answer, packages):
        return unknown(reason + _by_names(found))
    return known(found, "names of the libraries that the packages list")


def list_libraries(answer: Answer, listed: Iterable[tuple[str, str]]) -> Files:
    """The native libraries: base name -> the folders that have it.

    Args:
        answer: Of the interpreter.
        listed: From the distributions' lists of files: the folder that they lie in, and the path
            from there, with ``/``.
    """
    found: dict[str, set[str]] = {}
    for folder, path in listed:
        name = path.rpartition("/")[2]
        if _interesting(name) and Path(folder, path).exists():
            inside = PurePosixPath(path).parent
            where = "the environment's lib" if ".." in inside.parts else str(inside)
            found.setdefault(name, set()).add(where)
    # Conda's own libraries, and those that pip puts beside Python's, are in no list that is read.
    if not _is_system(answer):
        for where in ("lib", "Library/bin"):
            for name in _entries(Path(answer.prefix, where)):
                if _interesting(name):
                    found.setdefault(name, set()).add("the environment's lib")
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


_Fact = Known[tuple[str, ...]] | Unknown


def _interesting(name: str) -> bool:
    kinds = (*_BLAS, *_OPENMP)
    return bool(_LIBRARY.search(name)) and any(pattern.match(name) for pattern, _ in kinds)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _find(kinds: Iterable[tuple[re.Pattern[str], str]], files: Files) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            f"{kind} in {where}"
            for pattern, kind in kinds
            for name, folders in files.items()
            if pattern.match(name)
            for where in folders
        )
    )


def _is_system(answer: Answer) -> bool:
    return answer.prefix in ("/usr", "/usr/local")


def _system_reason(answer: Answer, packages: Mapping[str, str]) -> str:
    numeric = [name for name in _NUMERIC if name in packages]
    uses_system = answer.base_prefix == "/usr" and any(
        path.startswith("/usr/lib/") for path in answer.site_packages
    )
    if numeric and uses_system:
        return f"{numeric[0]} may use the system's libraries, which are not looked at"
    return ""


def _by_names(found: tuple[str, ...]) -> str:
    return f"; by their names: {', '.join(found)}" if found else ""
