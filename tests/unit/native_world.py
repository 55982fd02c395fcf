"""What stands around native libraries: an interpreter, distributions with metadata, an answer."""

from __future__ import annotations

import os
from importlib.metadata import Distribution, distributions
from pathlib import Path

import msgspec
import pytest
from unit.native_factory import write

from deadlock_matrix.interpreters.native.libraries import read_libraries
from deadlock_matrix.interpreters.question import Answer
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import NativeLibrary

posix = pytest.mark.skipif(os.name != "posix", reason="paths as Linux and macOS have them")


def answer(prefix: Path, executable: str = "") -> Answer:
    return msgspec.convert(
        {
            "version": "3.12.1",
            "implementation": "cpython",
            "described": "",
            "bits": 64,
            "free_threaded": False,
            "debug": False,
            "shared": True,
            "executable": executable,
            "prefix": str(prefix),
            "base_prefix": str(prefix),
            "environment": False,
            "site_packages": (str(prefix / "site"),),
            "user_site": "",
        },
        Answer,
    )


def install(site: Path, name: str, *modules: str, version: str = "1.0") -> None:
    """Write the metadata of a distribution with these files, which others make."""
    info = site / f"{name}-{version}.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode())
    write(info / "RECORD", "".join(f"{module},sha256=x,1\n" for module in modules).encode())


def installed(site: Path) -> list[tuple[str, str, Distribution]]:
    return [(each.metadata["Name"], each.version, each) for each in distributions(path=[str(site)])]


def short(libraries: tuple[NativeLibrary, ...]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(each.name, Path(each.path).name, each.threading, each.users) for each in libraries]


def read(
    folder: Path, executable: str = "", system: str = "linux", **variables: str
) -> tuple[NativeLibrary, ...]:
    """The libraries of what is installed in ``folder/site``; they must be known."""
    found = read_libraries(
        answer(folder, executable),
        installed(folder / "site"),
        {"LD_LIBRARY_PATH": "", "LD_PRELOAD": "", **variables},
        system,
    )
    assert isinstance(found, Known), found
    return found.value
