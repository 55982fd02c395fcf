"""Where asyncio's objects in C keep their fields.

Source: ``Modules/_asynciomodule.c`` of 3.8 to 3.15; the offsets were measured on 3.8.18, 3.9.18,
3.10.13, 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2 (x86-64, builds with a GIL). Each is checked
where it is used: what is taken for a task's coroutine must be one, and the future at the end of its
chain must be the one that the task names.
"""

from __future__ import annotations

import msgspec

_LOOP_AT, _CALLBACK_AT, _CALLBACKS_AT = 16, 24, 40


class TaskLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets in a ``_asyncio.Task``, which begins like a ``_asyncio.Future``."""

    size: int  # tp_basicsize of a task
    state: int
    waits_for: int
    loop: int = _LOOP_AT
    first_callback: int = _CALLBACK_AT
    more_callbacks: int = _CALLBACKS_AT

    @property
    def coroutine(self) -> int:
        """Where the coroutine is: behind the future that the task awaits."""
        return self.waits_for + 8

    @property
    def name(self) -> int:
        """Where the name is: behind the coroutine."""
        return self.waits_for + 16


_LAYOUTS = {
    (3, 8): TaskLayout(size=144, state=72, waits_for=104),
    (3, 9): TaskLayout(size=184, state=80, waits_for=144),
    (3, 10): TaskLayout(size=192, state=88, waits_for=152),
    (3, 11): TaskLayout(size=176, state=88, waits_for=128),
    (3, 12): TaskLayout(size=176, state=88, waits_for=128),
    (3, 13): TaskLayout(size=144, state=96, waits_for=112),
    (3, 14): TaskLayout(size=168, state=104, waits_for=120),
    (3, 15): TaskLayout(size=168, state=104, waits_for=120),
}

PENDING = 0
NODE_BEHIND_WAITS_FOR = 32
"""Offset of a task's node in the list of tasks, from 3.14 on."""


def layout_of_tasks(version: tuple[int, int]) -> TaskLayout | None:
    """Return the layout of one version, or None if that version is not known here."""
    return _LAYOUTS.get(version)
