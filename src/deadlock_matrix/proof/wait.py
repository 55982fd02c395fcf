"""A wait, as a proof sees it: with all who could end it, or open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deadlock_matrix.model.verdict import Assumption, Condition, Gap, Node
from deadlock_matrix.proof.world import Key

Scope = Literal["thread", "threads", "process", "tree"]


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A wait that only ``wakers`` could end.

    ``scope`` tells how the wakers are known: ``thread`` is one owner who alone can end it,
    ``threads`` are several of whom each is known to be able to;
    ``process`` and ``tree`` are all threads of one, because nothing says who of them it would be.
    ``interruptible``: a signal handler might end it too, so it counts only where none can run.

    A wait proves something by facts only if none of its ``conditions`` assumes anything.
    ``assuming`` holds other readings of the same wait, each complete under assumptions: they are
    tried only where facts alone do not make it stuck.
    """

    node: Node
    scope: Scope
    wakers: frozenset[Key]
    interruptible: bool
    source: str
    held_source: str  # where the owner was read
    phrase: str  # "waits for mutex 0x7f.. of libfoo.so"
    names_owner: bool = False  # the phrase says already who it is: "joins thread 3 'worker'"
    held_note: str = ""  # stands behind the owner: " (inside `with a` at store.py:40)"
    conditions: tuple[Condition, ...]
    assuming: tuple[Wait, ...] = ()

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What has to be assumed for this reading."""
        return tuple(each for condition in self.conditions for each in condition.assumes)


@dataclass(frozen=True, kw_only=True)
class Open:
    """A wait that may end, or of which too little is known.

    ``assuming``: how it reads under assumptions, where there are some that would close it.
    """

    gap: Gap
    assuming: tuple[Wait, ...] = ()


class Refusal:
    """Says why a wait is open; ``subject`` is the thread in words."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def because(self, detail: str) -> Open:
        """The wait may end: ``detail`` is what does not hold."""
        return Open(gap=Gap(kind="does-not-hold", subject=self.subject, detail=detail))

    def unknown(self, detail: str) -> Open:
        """Whether it may end is not known: ``detail`` is the missing fact."""
        return Open(gap=Gap(kind="unknown", subject=self.subject, detail=detail))


def thread_id(key: Key) -> str:
    """The id of a thread's node."""
    return f"thread-{key[0]}-{key[1]}"
