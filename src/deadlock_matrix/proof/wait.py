"""A wait, as a proof sees it: with all who could end it, or open."""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.verdict import Assumption, Condition, Gap, Node
from deadlock_matrix.proof.world import Key

Scope = Literal["thread", "threads", "process", "tree"]


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that only ``wakers`` could end.

    ``scope`` says how the wakers are known: ``thread`` is one owner who alone can end it,
    ``threads`` are several, each of which is known to be able to; ``process`` and ``tree`` are all
    threads of one, because nothing shows which of them it would be. ``interruptible``: a signal
    handler might end it too, so it counts only where none can run.

    A wait proves something by facts only if none of its ``conditions`` assumes anything.
    ``assuming`` holds other readings of the same wait, each complete under assumptions: they are
    tried only if facts alone do not make it stuck.
    """

    node: Node
    scope: Scope
    wakers: frozenset[Key]
    interruptible: bool
    source: str
    held_source: str  # where the owner was read
    phrase: str  # "waits for mutex 0x7f.. of libfoo.so"
    names_owner: bool = False  # the phrase already says who it is: "joins thread 3 'worker'"
    held_note: str = ""  # follows the owner: " (inside `with a` at store.py:40)"
    conditions: tuple[Condition, ...]
    assuming: tuple[Wait, ...] = ()

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What has to be assumed for this reading."""
        return tuple(each for condition in self.conditions for each in condition.assumes)


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that may end, or about which too little is known.

    ``assuming``: its readings under assumptions that would close it, if there are any.
    """

    gap: Gap
    assuming: tuple[Wait, ...] = ()


class Refusal:
    """Says why a wait is open; ``subject`` is the thread in words."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def because(self, detail: str) -> Open:
        """Say that the wait may end: ``detail`` is what does not hold."""
        return Open(gap=Gap(kind="does-not-hold", subject=self.subject, detail=detail))

    def unknown(self, detail: str) -> Open:
        """Say that it is unknown whether it may end: ``detail`` is the missing fact."""
        return Open(gap=Gap(kind="unknown", subject=self.subject, detail=detail))


def thread_id(key: Key) -> str:
    """Return the id of a thread's node."""
    return f"thread-{key[0]}-{key[1]}"
