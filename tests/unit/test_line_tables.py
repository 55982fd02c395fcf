"""Lines worked out from CPython's tables, against what this CPython says itself."""

from __future__ import annotations

import argparse
import ast
import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from types import CodeType, ModuleType

import pytest

from deadlock_matrix.capture.line_tables import Lines

VERSION = (sys.version_info[0], sys.version_info[1])


def codes(module: ModuleType) -> Iterator[CodeType]:
    waiting = [compile(inspect.getsource(module), "m.py", "exec")]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]


@pytest.mark.parametrize("module", [argparse, ast, inspect, subprocess, textwrap, threading])
def test_every_instruction_has_its_line(module: ModuleType) -> None:
    compared = 0
    for code in codes(module):
        lines = Lines(code.co_linetable, code.co_firstlineno, VERSION)
        for begin, end, line in code.co_lines():
            if line is not None:
                for place in range(begin, end, 2):
                    assert lines.at(place) == line
                    compared += 1
    assert compared > 1000


def test_the_older_formats() -> None:
    steps = bytes([0, 1, 6, 1, 8, 0xFF, 4, 3])  # lines 11, 12, 11, 14 of a function at 10
    assert [Lines(steps, 10, (3, 9)).at(at) for at in (0, 6, 14, 18)] == [11, 12, 11, 14]
    ranges = bytes([4, 1, 6, 0x80, 2, 2])  # two lines, and an instruction of none between them
    assert [Lines(ranges, 10, (3, 10)).at(at) for at in (0, 4, 8, 10)] == [11, 11, 11, 13]


def test_a_place_outside_of_the_table_has_a_line_all_the_same() -> None:
    for version in ((3, 8), (3, 10), (3, 12)):
        assert Lines(b"", 7, version).at(100) == 7
        assert Lines(b"", 7, version).at(-1) == 7
