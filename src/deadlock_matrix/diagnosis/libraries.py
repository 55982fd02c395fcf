"""Native libraries of an interpreter, chosen and named."""

from __future__ import annotations

from collections.abc import Iterable

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import NativeLibrary


def short_name(library: NativeLibrary) -> str:
    """Return product, version and threading: ``Product 0.3.21 (pthreads)``."""
    version = f" {library.version.value}" if isinstance(library.version, Known) else ""
    details = ", ".join(
        [*(["static"] if library.static else []), *filter(None, [library.threading])]
    )
    return f"{library.name}{version}" + (f" ({details})" if details else "")


def of_kind(libraries: Iterable[NativeLibrary], kind: str) -> list[NativeLibrary]:
    """Return the libraries of one kind, in their order."""
    return [library for library in libraries if library.kind == kind]
