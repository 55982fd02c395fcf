"""Imports that are under way, read from the Python frames of a thread."""

from __future__ import annotations

from collections.abc import Iterable

from deadlock_matrix.diagnosis.frames import is_probes
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.frames import PythonFrame

_IMPORTLIB = ("<frozen importlib", "importlib/_bootstrap")


def is_importlib(frame: PythonFrame) -> bool:
    """Return whether a frame belongs to the machinery of imports."""
    path = frame.file.replace("\\", "/")
    return any(part in path for part in _IMPORTLIB)


def imported_module(frame: PythonFrame) -> str:
    """Return the module that a frame of importlib imports; empty if its name was not read.

    For any frame that begins no import the result is empty too.
    """
    if frame.function != "_find_and_load" or not is_importlib(frame):
        return ""
    return frame.values.get("name", "").strip("'\"")


def import_chain(frames: Iterable[PythonFrame]) -> tuple[str, ...]:
    """Return the modules whose import is under way, outermost first: ``package.part (m.py:3)``."""
    chain: list[str] = []
    importer = ""
    for frame in frames:
        if is_probes(frame):
            importer = ""
            continue
        if not is_importlib(frame):
            importer = f"{base_name(frame.file)}:{frame.line}"
        elif name := imported_module(frame):
            chain.append(f"{name} ({importer})" if importer else name)
    return tuple(chain)
