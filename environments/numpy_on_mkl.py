"""numpy on MKL, built from source: where its wheel is kept, and what builds it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

NUMPY = "numpy==2.2.6"
NEEDED = ("mkl==2026.2.0", "mkl-devel==2026.2.0", "pkgconf>=2")
SETTINGS = (
    "-Dblas=mkl-sdl",
    "-Dlapack=mkl-sdl",
    "-Dallow-noblas=false",
    "-Dcpu-dispatch=none",  # a third of the time to build; nobody measures its speed
)
# From numpy/_core in site-packages to lib, where MKL is, in a venv as in a conda environment.
RUNPATH = "-Wl,-rpath,$ORIGIN/../../../.."


def find() -> Path | None:
    """The wheel for this Python in the user's cache, if it was built before."""
    return next(_folder().glob("*.whl"), None)


def lacking() -> str:
    """What is not here that it is built with, or nothing."""
    if not shutil.which("c++"):
        return "there is no C++ compiler"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return "" if headers.exists() else f"there is no {headers}"


def arguments(drafts: Path) -> list[str]:
    """Of pip. Its own cache is left out: it would give this wheel to others, or theirs to us."""
    settings = [f"--config-settings=setup-args={setting}" for setting in SETTINGS]
    options = ["--no-cache-dir", "--no-deps", "--no-binary=numpy", f"--wheel-dir={drafts}"]
    return ["wheel", *options, *settings, NUMPY]


def variables(prefix: Path) -> dict[str, str]:
    """Of the build; ``prefix`` is the environment with what is `NEEDED`."""
    # The program itself: the script in bin needs a module that pip hides from what it builds.
    pkgconf = next(prefix.glob("lib/python*/site-packages/pkgconf/.bin/pkgconf"))
    return {
        "PKG_CONFIG": str(pkgconf),
        "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig"),
        "LDFLAGS": RUNPATH,
    }


def keep(drafts: Path) -> None:
    """Put the wheel into the cache, whole or not at all."""
    (wheel,) = drafts.glob("numpy-*.whl")
    _folder().mkdir(parents=True, exist_ok=True)
    draft = _folder() / f"{wheel.name}.{os.getpid()}.draft"
    shutil.move(wheel, draft)
    draft.replace(_folder() / wheel.name)


def _folder() -> Path:
    given = os.environ.get("DEADLOCK_MATRIX_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = "\n".join((sys.version, NUMPY, *NEEDED, *SETTINGS, RUNPATH))
    name = f"numpy-on-mkl-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return (Path(given) if given else base / "deadlock-matrix") / "wheels" / name
