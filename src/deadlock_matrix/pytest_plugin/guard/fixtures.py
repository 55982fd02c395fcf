"""A fixture that hung is not set up again: the tests that need it fail, and the others run."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.pytest_plugin.guard.left import hung, left


class HungFixtures:
    """Remembers fixtures of a class, a module or the session in whose setup a test hung.

    They would hang for every test that needs them. A fixture for a single test may hang only for
    that one, so it is tried again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hung = hung(folder)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Make it fail where it would be set up; pytest itself calls it, and notes the failure."""
        if fixturedef.scope == "function" or not self._hung[0]:
            return
        code = getattr(inspect.unwrap(fixturedef.func), "__code__", None)
        if code is None:
            return
        function = code.co_filename, code.co_name
        for test, hang in left(self._folder).items():
            if function in hang.functions:
                text = (
                    f"prove-hangs: fixture {fixturedef.argname!r} is not set up again, since it "
                    f"hung in the setup of {test}"
                )
                fixturedef.func = partial(_fail, text)  # type: ignore[misc]


def _fail(text: str, **_: object) -> None:
    pytest.fail(text, pytrace=False)
