"""Which ``acquire()`` belongs to a ``finally``, against what this CPython compiles."""

from __future__ import annotations

import dis
import sys
from types import CodeType

import pytest

from deadlock_matrix.capture.acquired_locks import find_taken, gives_back
from deadlock_matrix.capture.with_blocks import depth_by_table, parse_table

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="has no exception table")
VERSION = (sys.version_info[0], sys.version_info[1])

BEFORE = """\
    self.lock.acquire()
    try:
        mark()
    finally:
        self.lock.release()
"""
FIRST_INSIDE = """\
    try:
        lock.acquire()
        mark()
    finally:
        lock.release()
        done()
"""
AROUND_OTHERS = """\
    with a:
        lock.acquire()
        try:
            for each in b:
                try:
                    with c:
                        mark()
                except E:
                    done()
            return each
        finally:
            lock.release()
"""
WITH_A_LIMIT = BEFORE.replace("acquire()", "acquire(timeout=1)")
OF_ANOTHER = BEFORE.replace("self.lock.acquire", "self.other.acquire")
ON_A_CONDITION = """\
    if a:
        lock.acquire()
    try:
        mark()
    finally:
        if a:
            lock.release()
"""
KEPT_UNLESS_IT_FAILS = """\
    lock.acquire()
    try:
        mark()
    except:
        lock.release()
        raise
"""
GIVEN_BACK_MEANWHILE = """\
    lock.acquire()
    try:
        lock.release()
        mark()
        lock.acquire()
    finally:
        lock.release()
"""
GIVEN_BACK_IN_A_HANDLER = AROUND_OTHERS.replace("done()", "lock.release()")
NOT_YET = """\
    try:
        mark().lock.acquire()
    finally:
        mark().lock.release()
"""


def taken_at_mark(body: str) -> list[int]:
    """The lines of what was taken, where ``mark()`` is called."""
    module = compile(f"def work(self, lock):\n{body}", "m.py", "exec")
    code = next(each for each in module.co_consts if isinstance(each, CodeType))
    instructions = list(dis.get_instructions(code))
    named = next(each.offset for each in instructions if each.argval == "mark")
    place = next(
        each.offset for each in instructions if each.opname == "CALL" and each.offset > named
    )
    table = parse_table(code.co_exceptiontable)
    names = {name: number for number, name in enumerate(code.co_names)}
    lines = dict(each for each in dis.findlinestarts(code) if each[1])
    found = []
    for around in depth_by_table(table, place).tries:
        taken = find_taken(code.co_code, place, around, names, VERSION)
        if taken and not gives_back(code.co_code, table.body_of(around.handler), taken):
            found.append(lines[max(at for at in lines if at <= taken.at)])
    return found


def test_it_is_directly_before_the_try_or_first_in_it() -> None:
    assert taken_at_mark(BEFORE) == [2]
    assert taken_at_mark(FIRST_INSIDE) == [3]
    assert taken_at_mark(AROUND_OTHERS) == [3]


@pytest.mark.parametrize(
    "body",
    [
        WITH_A_LIMIT,
        OF_ANOTHER,
        ON_A_CONDITION,
        KEPT_UNLESS_IT_FAILS,
        GIVEN_BACK_MEANWHILE,
        GIVEN_BACK_IN_A_HANDLER,
        NOT_YET,
    ],
)
def test_anything_else_tells_nothing(body: str) -> None:
    assert taken_at_mark(body) == []
