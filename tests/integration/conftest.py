"""Options of the soak tests: ``pytest tests/integration -m soak --python EXE --runs 20 --load``."""

from __future__ import annotations

import sys
from typing import TypedDict

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak")
    group.addoption("--python", action="append", help="an interpreter to soak; may be repeated")
    group.addoption("--runs", type=int, default=3, help="how often to run each scenario")
    group.addoption("--load", action="store_true", help="keep two processors busy meanwhile")


class SoakOptions(TypedDict):
    python: str
    runs: int
    load: bool


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "soaked" in metafunc.fixturenames:
        option = metafunc.config.getoption
        pythons = option("--python", None) or [sys.executable]
        runs, load = option("--runs", 3), option("--load", False)
        options = [SoakOptions(python=python, runs=runs, load=load) for python in pythons]
        metafunc.parametrize("soaked", options, ids=pythons)
