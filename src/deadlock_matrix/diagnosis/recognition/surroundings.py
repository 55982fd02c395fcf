"""Look for the surroundings of a process: its platform, packages, variables and libraries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deadlock_matrix.diagnosis.recognition.match import (
    ABSENT,
    Look,
    Seen,
    Unlooked,
    best,
    every,
)
from deadlock_matrix.diagnosis.recognition.signs import (
    EnvironmentSign,
    LibrariesSign,
    PackagesSign,
    PlatformSign,
    SymbolsSign,
)
from deadlock_matrix.diagnosis.recognition.traces import ThreadTraces, Traces
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.fact import Known, Unknown


def look_for_platform(sign: PlatformSign, traces: Traces) -> Look:
    """Look for the system, and for glibc if a version of it is wanted."""
    if isinstance(traces.machine, Unknown):
        return Unlooked(why=f"the platform: {traces.machine.reason}")
    machine = traces.machine.value
    if sign.systems and machine.system not in sign.systems:
        return ABSENT
    if sign.glibc:
        name, _, version = machine.libc.partition(" ")
        if name in ("musl", ""):
            return ABSENT
        if name != "glibc":
            return Unlooked(why=f"the version of glibc: {machine.libc}")
        look = _version("glibc", version, sign.glibc)
        if not isinstance(look, Seen):
            return look
        return Seen(where=f"{machine.system}, {machine.libc}")
    return Seen(where=machine.system)


def look_for_packages(sign: PackagesSign, traces: Traces) -> Look:
    """Look for distributions and their versions, in the interpreter's fingerprint."""
    if isinstance(traces.fingerprint, Unknown):
        return Unlooked(why=f"installed packages: {traces.fingerprint.reason}")
    from packaging.utils import canonicalize_name

    fingerprint = traces.fingerprint.value
    installed = {canonicalize_name(name): v for name, v in fingerprint.packages.items()}
    wanted = [
        (name, installed.get(canonicalize_name(name)), specifier)
        for name, specifier in sign.versions.items()
    ]
    if sign.python:
        wanted.append(("python", fingerprint.version, sign.python))
    return every(_version(name, version, specifier) for name, version, specifier in wanted)


def _version(name: str, version: str | None, specifier: str) -> Look:
    if version is None:
        return ABSENT
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        inside = SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return Unlooked(why=f"{name} has version {version!r}, which cannot be compared")
    return Seen(where=f"{name} {version}") if inside else ABSENT


def look_for_environment(sign: EnvironmentSign, traces: Traces) -> Look:
    """Look for variables that were set when the process began."""
    environment = traces.environment
    if isinstance(environment, Unknown):
        return Unlooked(why=f"the environment: {environment.reason}")
    values = environment.value
    return every(_variable(name, pattern, values) for name, pattern in sign.variables.items())


def _variable(name: str, pattern: str, values: dict[str, str]) -> Look:
    if name not in values:
        # A program may set it for its own libraries, which the recorded environment does not show.
        return Unlooked(why=f"{name} was not set at the start; the program may have set it later")
    fits = re.fullmatch(pattern, values[name])
    return Seen(where=f"{name}={values[name]}") if fits else ABSENT


def look_for_libraries(sign: LibrariesSign, traces: Traces) -> Look:
    """Look for libraries that are mapped in one process."""
    if isinstance(traces.threads, Known):
        groups = [group for group in traces.threads.value if group]
        return best(_mapped(sign, group[0]) for group in groups)
    if isinstance(traces.loaded, Known):
        return _together(sign.together, traces.loaded.value)
    return Unlooked(why=f"mapped libraries: {traces.threads.reason}")


def _mapped(sign: LibrariesSign, thread: ThreadTraces) -> Look:
    libraries = thread.process.libraries
    if isinstance(libraries, Unknown):
        return Unlooked(why=libraries.reason)
    paths = tuple(library.path for library in libraries.value)
    look = _together(sign.together, paths)
    if isinstance(look, Seen):
        return Seen(where=f"{look.where} in process {thread.pid}")
    return look


def _together(patterns: Sequence[str], paths: Sequence[str]) -> Look:
    """Find a different path for each pattern."""
    if not patterns:
        return Seen(where="")
    fits = re.compile(patterns[0]).match
    for path in paths:
        if fits(base_name(path)):
            rest = _together(patterns[1:], [other for other in paths if other != path])
            if isinstance(rest, Seen):
                return Seen(where=", ".join(filter(None, (base_name(path), rest.where))))
    return ABSENT


def look_for_symbols(sign: SymbolsSign, traces: Traces) -> Look:
    """Look for a symbol that several installed libraries export."""
    if isinstance(traces.fingerprint, Unknown):
        return Unlooked(why=f"exported symbols: {traces.fingerprint.reason}")
    libraries = traces.fingerprint.value.libraries
    if isinstance(libraries, Unknown):
        return Unlooked(why=f"exported symbols: {libraries.reason}")
    by_symbol: dict[str, set[str]] = {}
    for library in libraries.value:
        for symbol in library.shared_symbols:
            if re.search(sign.pattern, symbol):
                by_symbol.setdefault(symbol, set()).add(library.path)
    for symbol, paths in sorted(by_symbol.items()):
        if len(paths) >= sign.exporters:
            return Seen(where=f"{symbol} in {' and '.join(map(base_name, sorted(paths)))}")
    return ABSENT
