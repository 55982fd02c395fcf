"""Which slots of a value stack ``with`` blocks fill, against what this CPython compiles."""

from __future__ import annotations

import dis
import struct
import sys
from types import CodeType

import pytest

from deadlock_matrix.capture.line_tables import Lines
from deadlock_matrix.capture.with_blocks import depth_by_blocks, depth_by_table, parse_table

FROM_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="has no exception table")
VERSION = (sys.version_info[0], sys.version_info[1])

SOURCE = """\
def held():
    mark()
    with a:
        mark()
        with b:
            try:
                mark()
            finally:
                mark()
        mark()
    with c:
      with d:
        try:
            with e:
                mark()
        except E as f:
            mark()
    mark()
"""
PER_BLOCK = 2 if VERSION >= (3, 14) else 1
"""Slots that a ``with`` fills: from 3.14 the method and what it is bound to."""


def compiled() -> CodeType:
    module = compile(SOURCE, "m.py", "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType))


@FROM_3_11
def test_each_call_is_inside_the_blocks_around_it() -> None:
    code = compiled()
    table = parse_table(code.co_exceptiontable)
    lines = SOURCE.splitlines()
    expected = {
        2: [],
        4: ["with a:"],
        7: ["with a:", "with b:"],
        9: ["with a:", "with b:"],
        10: ["with a:"],
        15: ["with c:", "with d:", "with e:"],
        17: ["with c:", "with d:"],  # and the exception that is handled
        18: [],
    }
    checked = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname != "CALL" or instruction.positions is None:
            continue
        line = instruction.positions.lineno
        if line is None or "mark" not in lines[line - 1]:
            continue
        depth = depth_by_table(table, instruction.offset)
        slots = [PER_BLOCK * (number + 1) - 1 for number in range(len(expected[line]))]
        assert depth.slots >= PER_BLOCK * len(slots)
        begins = [depth.begins[slot] for slot in slots]
        found = [Lines(code.co_linetable, code.co_firstlineno, VERSION).at(at) for at in begins]
        assert [lines[each - 1].strip() for each in found] == expected[line]
        checked.add(line)
    assert checked == set(expected)


@FROM_3_11
def test_the_last_of_nested_blocks_is_directly_below_the_depth() -> None:
    code = compiled()
    table = parse_table(code.co_exceptiontable)
    places = [each.offset for each in dis.get_instructions(code) if each.opname == "CALL"]
    depths = {depth_by_table(table, place).slots for place in places}
    assert {0, PER_BLOCK, 2 * PER_BLOCK} <= depths


def test_a_frame_of_an_old_version_lists_its_blocks() -> None:
    code = bytes([100, 0, 144, 1, 143, 4, 1, 0])  # the with begins at 4; its handler is at 266
    blocks = struct.pack("<iii", 122, 266, 1) + struct.pack("<iii", 257, -1, 4)
    depth = depth_by_blocks(2, blocks, code, 1)
    assert (depth.slots, depth.begins) == (4, {0: 4})
    halved = struct.pack("<iii", 122, (6 + 2 * 260) // 2, 1)
    assert depth_by_blocks(1, halved, code, 2).begins == {0: 4}
    assert depth_by_blocks(1, struct.pack("<iii", 122, 20, 1), code, 1).begins == {}


@pytest.mark.parametrize("table", [b"\xff", b"\x80\x40\x40", b"\x81\x01\x02\x03\x04"])
def test_a_table_that_is_none_is_read_to_its_end(table: bytes) -> None:
    assert all(each.start <= each.end for each in parse_table(table).entries)


@FROM_3_11
@pytest.mark.timeout(20)
def test_a_table_whose_handlers_lead_in_a_circle_is_none() -> None:
    """Memory that changed meanwhile may hold any bytes: an entry that leads to itself."""
    table = parse_table(bytes((0x80, 1, 0, 3)))  # from 0, one instruction, handled at 0, at depth 1
    with pytest.raises(ValueError, match="circle"):
        depth_by_table(table, 0)
