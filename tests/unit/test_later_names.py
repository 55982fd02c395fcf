"""The names that a module's code still uses, on the bytecode of this very interpreter."""

from __future__ import annotations

import dis
import sys

import pytest

from deadlock_matrix.capture.later_names import names_ahead

VERSION = sys.version_info[:2]


def ahead(source: str, marker: str = "here") -> set[str]:
    """The names after the place where the program loads ``marker``."""
    code = compile(source, "<test>", "exec")
    place = next(each.offset for each in dis.get_instructions(code) if each.argval == marker)
    found = names_ahead(code.co_code, place, VERSION)
    assert found is not None
    return {code.co_names[at] for at in found if at < len(code.co_names)}


def test_what_lies_behind_does_not_count() -> None:
    names = ahead("first()\nsecond()\nhere()\nthird()\n")
    assert {"here", "third"} <= names
    assert "first" not in names


def test_what_a_loop_leads_back_to_counts() -> None:
    names = ahead("first()\nwhile more():\n    second()\n    here()\n")
    assert {"more", "second", "here"} <= names
    assert "first" not in names


def test_of_an_unknown_version_all_may_count() -> None:
    assert names_ahead(b"\x00\x00", 0, (3, 99)) is None


@pytest.mark.parametrize("version", [(3, 8), (3, 11), (3, 13), (3, 15)])
def test_a_long_argument_is_not_followed(version: tuple[int, int]) -> None:
    extended = {(3, 8): 144, (3, 11): 144, (3, 13): 71, (3, 15): 67}[version]
    assert names_ahead(bytes([extended, 1, 0, 0]), 0, version) is None
