"""A frame of Python code, of a thread or of a coroutine."""

from __future__ import annotations

import msgspec


class PythonFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A Python frame. ``values`` holds the few arguments and locals a proof needs, as text."""

    function: str
    file: str
    line: int
    values: dict[str, str] = {}
