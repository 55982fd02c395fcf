"""Which products a native file holds: thread pools, protobuf and Abseil here, a BLAS in `blas`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from deadlock_matrix.interpreters.native import symbols
from deadlock_matrix.interpreters.native.file import NativeFile, find_text, find_texts
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

Version = Known[str] | Unknown


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `NativeLibrary` without what only the environment shows."""

    name: str
    kind: LibraryKind
    static: bool
    version: Version
    threading: str = ""
    shared_symbols: tuple[str, ...] = ()


def recognise_runtimes(file: NativeFile) -> Iterator[Product]:
    """Yield OpenMP runtimes, thread pools, protobuf and Abseil, by the symbols a file defines."""
    exports = file.exports
    if name := openmp_name(file):
        yield Product(
            name=name,
            kind=LibraryKind.OPENMP,
            static=not re.search(r"gomp|omp5|libomp|vcomp", file.base),
            version=_openmp_version(file, name),
        )
    if any(name in exports for name in symbols.TBB):
        yield Product(
            name="TBB",
            kind=LibraryKind.THREADS,
            static="tbb" not in file.base,
            version=read_version(file, r"TBB: VERSION\s+(\d[\d.]*)"),
        )
    if symbols.PROTOBUF in exports or symbols.PROTOBUF_SHUTDOWN in exports:
        yield Product(
            name="protobuf",
            kind=LibraryKind.PROTOBUF,
            static="protobuf" not in file.base,
            version=_protobuf_version(file),
            shared_symbols=_weak(exports, {symbols.PROTOBUF_SHUTDOWN}),
        )
    yield from _recognise_abseil(file)


def openmp_name(file: NativeFile) -> str:
    """Name the OpenMP runtime in the file: "libgomp", "libiomp5", "libomp"; empty if none."""
    if symbols.KMP_FORK in file.exports:  # these two define libgomp's functions too
        return "libiomp5" if "iomp5" in file.base + file.name.lower() else "libomp"
    if symbols.VCOMP_FORK in file.exports:
        return "vcomp"
    return "libgomp" if symbols.GOMP_FORK in file.exports else ""


def describe_openmp(file: NativeFile, needed: Iterable[NativeFile]) -> str:
    """Name the runtime whose functions a file calls, "OpenMP (libgomp)"; empty if it calls none."""
    gomp = {symbols.GOMP_FORK, symbols.GOMP_FORK_BEFORE_4_9} & file.imports
    kmp = symbols.KMP_FORK in file.imports
    if not gomp and not kmp:
        return ""
    names = dict.fromkeys(filter(None, map(openmp_name, needed)))
    if len(names) == 1:
        return f"OpenMP ({next(iter(names))})"
    return "OpenMP" if kmp else "OpenMP (libgomp)"


def read_version(file: NativeFile, pattern: str) -> Version:
    """Return the first group of ``pattern`` in the file's constant texts."""
    found = find_text(file, pattern, file.texts)
    if found is None:
        return unknown("the file does not tell")
    return known(found[1].decode("ascii", "replace").strip(), "a text in the file")


def _openmp_version(file: NativeFile, name: str) -> Version:
    if name != "libgomp":
        return read_version(file, r"OMP (?:version: |[^\0]{0,40} ver\. )(\d+\.\d+\.\d+)")
    # No text shows it; the newest interface of its functions does.
    names = {found[1].decode() for found in find_texts(file, r"\0GOMP_(\d[\d.]*)", file.names)}
    if not names:
        return unknown("the file does not tell")
    newest = max(names, key=lambda name: tuple(int(part) for part in re.findall(r"\d+", name)))
    return known(f"GOMP_{newest}", "names of its interfaces")


def _protobuf_version(file: NativeFile) -> Version:
    release = re.search(r"protobuf(?:-lite)?\.so\.(\d[\d.]*)", file.name)
    if release:
        return known(f"libprotobuf.so.{release[1]}", "its name for other files")
    if find_text(file, r"_ZN6google8protobuf8internal10LogMessage", file.names):
        return known("before 22", "names in the file: it has its own logging")
    if find_text(file, r"_ZNK?6google8protobuf[^\0]{0,300}?4absl", file.names):
        return known("22 or later", "names in the file: it takes types of Abseil")
    return unknown("the file does not tell")


def _recognise_abseil(file: NativeFile) -> Iterator[Product]:
    found = [match for match in map(symbols.ABSEIL.fullmatch, file.exports) if match]
    for release in dict.fromkeys(match["release"] or "" for match in found):
        yield Product(
            name="Abseil",
            kind=LibraryKind.ABSEIL,
            static="absl" not in file.base,
            version=_abseil_version(file, release),
            shared_symbols=_weak(
                file.exports,
                {each for each in file.exports if symbols.ABSEIL_HOOK.fullmatch(each)}
                | {match[0] for match in found if (match["release"] or "") == release},
            ),
        )


def _abseil_version(file: NativeFile, release: str) -> Version:
    if re.fullmatch(r"lts_\d{8}", release):
        return known(release.removeprefix("lts_"), "names of its symbols")
    named = re.search(r"libabsl_\w+\.so\.(\d[\d.]*)", file.name)
    if named:
        return known(named[1], "its name for other files")
    return unknown(
        f"its symbols are in the namespace {release!r}, which names no release"
        if release
        else "its symbols name no release, as in a copy that is not from one"
    )


def _weak(exports: Mapping[str, bool], names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if exports.get(name)))
