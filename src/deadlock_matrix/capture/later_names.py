"""Which names the code of a module can still use, from where its execution is.

A script names everything it has defined. Code that has already run counts for nothing, unless a
loop leads back to it. This is read from the bytecode, whose instructions have two bytes each: where
the name of a global is loaded, and where it jumps back. Inline caches that look like such an
instruction add a name, and never remove one.

Numbers of instructions: ``opcode`` of 3.8 to 3.15, with the specialised forms.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the instructions that matter in one version."""

    load_name: int
    load_global: frozenset[int]
    jump_back: frozenset[int]  # by this many instructions
    jump_to: int = 0  # an absolute jump, up to 3.10
    extended: int
    compiled: int = 0  # code of a JIT replaces it


_OLD = Instructions(
    load_name=101, load_global=frozenset({116}), jump_back=frozenset(), jump_to=113, extended=144
)
_BY_VERSION: Mapping[tuple[int, int], Instructions] = {
    (3, 8): _OLD,
    (3, 9): _OLD,
    (3, 10): _OLD,
    (3, 11): Instructions(
        load_name=101,
        load_global=frozenset({116, 47, 48, 55}),
        jump_back=frozenset({38, 134, 140, 173, 174, 175, 176}),
        extended=144,
    ),
    (3, 12): Instructions(
        load_name=101,
        load_global=frozenset({116, 111, 112, 175}),
        jump_back=frozenset({134, 140, 246}),
        extended=144,
    ),
    (3, 13): Instructions(
        load_name=92,
        load_global=frozenset({90, 91, 203, 204}),
        jump_back=frozenset({77, 78, 249}),
        extended=71,
        compiled=70,
    ),
    (3, 14): Instructions(
        load_name=93,
        load_global=frozenset({91, 92, 192, 193}),
        jump_back=frozenset({75, 76, 175, 176, 253}),
        extended=69,
        compiled=255,
    ),
    (3, 15): Instructions(
        load_name=92,
        load_global=frozenset({90, 91, 196, 197}),
        jump_back=frozenset({74, 75, 181, 182, 252}),
        extended=67,
        compiled=254,
    ),
}


def names_ahead(code: bytes, place: int, version: tuple[int, int]) -> frozenset[int] | None:
    """Return the numbers of the names that may still be loaded, or None where that is unknown.

    Args:
        code: The bytecode.
        place: The current instruction, in bytes.
        version: The interpreter's version.
    """
    known = _BY_VERSION.get(version)
    if (
        known is None
        or known.extended in code[::2]
        or (known.compiled and known.compiled in code[::2])
    ):
        return None
    begin = _begin(code, max(place, 0), known, version)
    found: set[int] = set()
    for at in range(begin & ~1, len(code) - 1, 2):
        number, argument = code[at], code[at + 1]
        if number == known.load_name:
            found.add(argument)
        elif number in known.load_global:
            found.update((argument, argument >> 1))
    return frozenset(found)


def _begin(code: bytes, place: int, known: Instructions, version: tuple[int, int]) -> int:
    """Return how far back the jumps lead that come after a place, and those that they lead to.

    Each instruction is looked at once.
    """
    begin, end = place, len(code)
    while (earlier := _earliest(code, begin, end, known, version)) < begin:
        begin, end = earlier, begin + 1
    return begin


def _earliest(
    code: bytes, begin: int, end: int, known: Instructions, version: tuple[int, int]
) -> int:
    """Return how far back the jumps between two places lead."""
    earliest = begin
    unit = 2 if version >= (3, 10) else 1
    for at in range(begin & ~1, end - 1, 2):
        number, argument = code[at], code[at + 1]
        if number in known.jump_back:
            earliest = min(earliest, max(at + 2 - 2 * argument, 0))
        elif known.jump_to and number == known.jump_to:
            earliest = min(earliest, unit * argument)
    return earliest
