"""Which environments are being built, and since when: a file for each, under ``.nox``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from environments.recipes import NOX

FOLDER = NOX / "building"


def clear() -> None:
    """Forget marks that a builder left which was ended from outside."""
    shutil.rmtree(FOLDER, ignore_errors=True)


@contextmanager
def mark(name: str) -> Iterator[None]:
    """Say that something is being built, while the block runs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / name
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def under_way() -> list[tuple[str, float]]:
    """What is being built, and for how many seconds, the longest first."""
    found = []
    for file in FOLDER.glob("*"):
        try:
            found.append((file.name, max(0.0, time.time() - file.stat().st_mtime)))
        except FileNotFoundError:
            continue  # it has just been done
    return sorted(found, key=lambda each: -each[1])
