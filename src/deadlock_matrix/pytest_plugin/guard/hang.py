"""A pytest process that hangs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deadlock_matrix.model.evidence import Evidence
    from deadlock_matrix.model.verdict import Judgement
    from deadlock_matrix.pytest_plugin.guard.position import Position

PROVED, LIKELY, LIMIT = "proved", "likely", "limit"


@dataclass(frozen=True, kw_only=True)
class Hang:
    """A pytest process that was ended, and why.

    ``strength`` is ``proved``; ``likely``, also for a part of a process; or ``limit`` if nothing is
    known but that nothing in it has worked for ``asleep_s`` seconds. ``unread`` says why its stacks
    could not be read, if that is so; ``seen`` is None if nothing could. ``whole_session``: no part
    of the session runs on.
    """

    pid: int
    position: Position
    strength: str
    asleep_s: float
    seen: tuple[Evidence, Judgement] | None
    unread: str = ""
    whole_session: bool


@dataclass(frozen=True, kw_only=True)
class Told:
    """A hang, and what is said about it."""

    hang: Hang
    text: str
