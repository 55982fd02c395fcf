"""What an interpreter is, as measured: from its files, and from what only running shows."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Known, Unknown


class NativeLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """A native library that installed packages load, found from files, with nothing imported.

    ``name`` is that of the product, ``kind`` one of `interpreters.native.kinds.LibraryKind`.
    ``version`` is what the file states: for a static library the day it was built, for some
    runtimes their newest interface.

    ``path`` is the real file that holds it; ``static`` if it is a part of that file, which is
    another library. ``threading`` is how it makes threads: "pthreads", "serial", "chosen at run
    time", or empty if the file does not tell. ``users`` are the distributions whose modules load
    it, directly or through other libraries; none for a preloaded one. ``system`` is true for one
    that comes with the operating system. ``shared_symbols`` are weak symbols that it exports, so
    that a second copy in the process uses this one's objects.
    """

    name: str
    kind: str
    path: str
    static: bool = False
    threading: str = ""
    version: Known[str] | Unknown
    users: tuple[str, ...] = ()
    system: bool = False
    shared_symbols: tuple[str, ...] = ()


class ThreadPool(msgspec.Struct, frozen=True, kw_only=True):
    """One row of threadpoolctl's table: a library that makes threads, as it is while it runs.

    ``name`` is threadpoolctl's, ``prefix`` the library's own, ``path`` its real path, ``threads``
    how many it may use, ``layer`` how it makes them. ``version`` and ``layer`` are empty if the
    library does not tell them.
    """

    name: str
    prefix: str
    path: str
    version: str
    threads: int
    layer: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a process showed that imported only one module, and multiplied matrices once.

    ``configuration`` is what the module says about itself. ``mapped`` are the real paths of the
    libraries that were mapped in the end and whose names are of a kind that is looked for.
    ``described`` is what the computing library says about itself and its version; known but empty
    if none is mapped that does so. ``seconds`` is how long the import took.
    """

    module: str
    version: str
    configuration: Known[str] | Unknown
    pools: Known[tuple[ThreadPool, ...]] | Unknown
    mapped: Known[tuple[str, ...]] | Unknown
    described: Known[str] | Unknown
    seconds: float


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter is.

    ``packages`` are versions of distributions, from metadata. ``libraries`` are read from files.
    ``running`` is by module; a module that is not installed is not in it, and one that hangs when
    imported is unknown, with the reason: everything else is still known. ``printers`` are those of
    the libraries in ``libraries`` and of the mapped ones in ``running`` that contain the text of
    the message "Lock blocking", by which many hangs are known.
    """

    name: str
    executable: str
    version: str
    implementation: str
    build: str
    distribution: str
    free_threaded: bool
    packages: dict[str, str]
    libraries: Known[tuple[NativeLibrary, ...]] | Unknown
    running: dict[str, Known[Running] | Unknown] = {}
    printers: Known[tuple[str, ...]] | Unknown = Unknown(reason="not looked for")


class InterpreterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter of a run; if it is unknown, it did not answer, with the reason.

    ``set`` are the variables that belong to it, as in `model.cell.Interpreter`.
    """

    name: str
    executable: str
    fingerprint: Known[Fingerprint] | Unknown
    set: dict[str, str] = {}
