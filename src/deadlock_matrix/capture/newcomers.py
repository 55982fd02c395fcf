"""Visiting everybody in a list that changes meanwhile: processes, threads, descriptors.

A process may hand on what it has to a child and end, before it is looked at. So the list is taken
again until nobody new is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

ROUNDS = 25


class Restless(Exception):
    """New ones kept coming. The message says what."""


def visit_all(
    what: str, listed: Callable[[], Iterable[int]], visit: Callable[[int], bool], quiet: int = 1
) -> None:
    """Calls ``visit`` for everybody once.

    Who was visited and is missing from a later list has gone: whoever has the number after that is
    somebody else, and visited too. On a machine where numbers run out quickly (32768 of them, many
    kept by processes that nobody has waited for), that happens within one search.

    Args:
        what: for the message: "processes".
        listed: who is there now.
        visit: returns whether it was still there. Who was not counts as new if listed again: its
            number may be somebody else's.
        quiet: how many lists in a row must hold nobody new. More than one where the kernel lists
            by number: who moves from a high to a low one meanwhile is in none.

    Raises:
        Restless: somebody new was found each time.
        OSError: what the two functions raise.
    """
    seen: set[int] = set()
    still = 0
    for _ in range(ROUNDS):
        there = tuple(listed())
        seen.intersection_update(there)  # the number of one who has gone may be taken again
        new = [number for number in there if number not in seen]
        still = 0 if new else still + 1
        if still == quiet:
            return
        seen.update(number for number in new if visit(number))
    raise Restless(f"new {what} kept coming while they were searched")
