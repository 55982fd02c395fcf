"""A file that lists interpreters, as the recipes' builder writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.listed import read_interpreters
from deadlock_matrix.model.cell import Interpreter


def write(folder: Path, listed: Any) -> Path:
    path = folder / "interpreters.json"
    path.write_text(json.dumps(listed))
    return path


def test_a_list(tmp_path: Path) -> None:
    listed = [
        {"name": "one", "executable": "env/bin/python", "set": {"LD_LIBRARY_PATH": "/blas"}},
        {"name": "two", "executable": "/opt/two/python"},
        {"name": "three", "executable": "", "unavailable": "no conda; install it"},
    ]
    assert read_interpreters(write(tmp_path, listed)) == (
        Interpreter(
            name="one",
            executable=str(tmp_path / "env/bin/python"),
            set={"LD_LIBRARY_PATH": "/blas"},
        ),
        Interpreter(name="two", executable="/opt/two/python"),
        Interpreter(name="three", unavailable="no conda; install it"),
    )


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([{"name": "one"}], "'one' has neither an 'executable' nor 'unavailable'"),
        ([{"name": "a/b", "executable": "x"}], "'a/b'"),
        ([{"name": "one", "executable": "x"}] * 2, "'one' is defined twice"),
        ({"name": "one"}, "is not a list of interpreters"),
        ([{"name": "one", "path": "x"}], "is not a list of interpreters"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, listed: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match="interpreter") as raised:
        read_interpreters(write(tmp_path, listed))
    assert said in str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a list of interpreters"):
        read_interpreters(tmp_path / "missing.json")
