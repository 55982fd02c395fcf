"""Which native libraries installed packages load, read from files: none of them is executed.

Each native module of each distribution is resolved as the loader would do it, through everything
that it needs; each file on the way is searched for the symbols that show what it holds. What a
program opens by name while it runs is not seen, except what MKL is known to open.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution
from pathlib import Path

import msgspec

from deadlock_matrix.interpreters.native.blas import MKL_LAYERS, recognise_blas
from deadlock_matrix.interpreters.native.file import NativeFile
from deadlock_matrix.interpreters.native.files import NativeFiles
from deadlock_matrix.interpreters.native.loaded import Loaded
from deadlock_matrix.interpreters.native.modules import list_native
from deadlock_matrix.interpreters.native.products import Product, Version, recognise_runtimes
from deadlock_matrix.interpreters.question import Answer
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import NativeLibrary

Installed = Sequence[tuple[str, str, Distribution]]

_SYSTEM = re.compile(r"(/usr)?/lib(32|64|x32)?/|/System/|\w:\\windows\\", re.IGNORECASE)
_PACKAGES = re.compile(r"[\\/](?:site|dist)-packages[\\/]")
# These lie beside all packages, and those packages know more exactly than they do which they are.
_OF_DISTRIBUTION = {"MKL": "mkl", "libiomp5": "intel-openmp", "TBB": "tbb"}


def read_libraries(
    answer: Answer, installed: Installed, set: Mapping[str, str], system: str = sys.platform
) -> Known[tuple[NativeLibrary, ...]] | Unknown:
    """Find the BLAS, OpenMP, TBB, protobuf and Abseil that installed packages load.

    A library in the environment that no module needs is not among them. Of several libraries with
    one name, the one that is loaded first serves all packages of a process; this lists the one that
    each package would load by itself.

    Args:
        answer: The interpreter's answer.
        installed: Its distributions, as (name, version, distribution); of two with one name the
            first is the one that is imported.
        set: Its own variables. LD_LIBRARY_PATH and the like, if not in it, are taken from the
            environment of this process.
        system: Whose files and rules apply, as in ``sys.platform``.

    Returns:
        The libraries, by kind, name and path; unknown if a file cannot be opened, or if the reader
            of this system's native files is not installed.
        reads this system's native files is not installed.
    """
    files = NativeFiles(system)
    first = {name: each for name, _, each in reversed(installed)}
    try:
        loaded = Loaded(answer, dict(sorted(first.items())), {**os.environ, **set}, files)
    except ImportError as error:
        return unknown(f"native files cannot be read on this system: {error}")
    if files.refused:
        path, reason = sorted(files.refused.items())[0]
        return unknown(f"{path} cannot be read: {reason}")
    rows = [
        _row(answer, installed, product, file.path, loaded.users[file.path])
        for file in loaded.files.values()
        for product in _recognise(file, loaded)
    ]
    source = f"{loaded.modules} native files of {len(first)} distributions, and what they need"
    if files.malformed:
        path, reason = sorted(files.malformed.items())[0]
        source += f"; passed over {len(files.malformed)}, such as {path}: {reason}"
    return known(tuple(sorted(rows, key=lambda row: (row.kind, row.name, row.path))), source)


def _recognise(file: NativeFile, loaded: Loaded) -> Iterator[Product]:
    yield from recognise_runtimes(file)
    blas = recognise_blas(file, loaded.needed_by(file))
    if blas is None:
        return
    if re.match(r"(lib)?mkl_(rt|core)\b", file.base):
        blas = _complete_mkl(blas, file, loaded)
    yield blas


def _complete_mkl(blas: Product, file: NativeFile, loaded: Loaded) -> Product:
    """Complete an MKL in several files: one tells the version, another makes the threads."""
    if isinstance(blas.version, Unknown) and (core := loaded.beside(file, "mkl_core")):
        found = recognise_blas(core, ())
        blas = msgspec.structs.replace(blas, version=found.version) if found else blas
    if not blas.threading:
        layers = {
            threading
            for stem, threading in MKL_LAYERS.items()
            if (beside := loaded.beside(file, stem)) and beside.path in loaded.files
        }
        threading = layers.pop() if len(layers) == 1 else ""
        blas = msgspec.structs.replace(blas, threading=threading)
    return blas


def _row(
    answer: Answer, installed: Installed, product: Product, path: str, users: set[str]
) -> NativeLibrary:
    return NativeLibrary(
        name=product.name,
        kind=product.kind,
        path=path,
        static=product.static,
        threading=product.threading,
        version=_package_version(answer, installed, product, path) or product.version,
        users=tuple(sorted(users)),
        system=bool(_SYSTEM.match(path)) and not _PACKAGES.search(path),
        shared_symbols=product.shared_symbols,
    )


def _package_version(
    answer: Answer, installed: Installed, product: Product, path: str
) -> Version | None:
    wanted = _OF_DISTRIBUTION.get(product.name)
    if wanted is None or product.static:
        return None
    leaf = Path(path).name
    for name, version, distribution in installed:
        if name == wanted:
            for listed in list_native(distribution):
                where = str(distribution.locate_file(str(listed)))
                if listed.name == leaf and os.path.realpath(where) == path:
                    return known(version, f"metadata of {name}")
    if Path(path).is_relative_to(answer.prefix):
        for record in sorted(Path(answer.prefix, "conda-meta").glob(f"{wanted}-[0-9]*.json")):
            version = record.name.removeprefix(f"{wanted}-").split("-")[0]
            return known(version, f"conda-meta/{record.name}")
    return None
