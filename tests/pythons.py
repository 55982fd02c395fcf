"""The CPythons that tests try one after the other, where they can be found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

WITH_GIL = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
FREE_THREADED = ("3.13t", "3.14t")
VERSIONS = WITH_GIL + FREE_THREADED
MADE_HERE = Path(__file__).parents[1] / ".nox" / "cpythons" / "bin"
"""Where ``nox -s pythons`` puts those that this machine does not have."""


@cache
def find_python(version: str) -> str:
    """The executable of a CPython, or an empty text. ``3.13t`` is a free-threaded one."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    # Another user's is closed to us, where the environment comes from there.
    versions = sorted(pyenv.glob("versions/*/bin")) if os.access(pyenv, os.R_OK | os.X_OK) else []
    folders = [*os.get_exec_path(), *versions, MADE_HERE]
    ask = "import sys; print(sys.executable, sys.implementation.name, *sys.version_info[:2])"
    for folder in folders:
        path = Path(folder, f"python{version}")
        if not os.access(path, os.X_OK):
            continue
        done = subprocess.run(
            [path, "-I", "-c", ask], capture_output=True, text=True, timeout=60, check=False
        )
        answer = re.fullmatch(r"(.+) cpython (\d+) (\d+)\n", done.stdout)
        if answer and f"{answer[2]}.{answer[3]}" == version.rstrip("t"):
            return answer[1]
    return ""


def interpreter(version: str) -> str:
    """The executable; the test is skipped where there is none."""
    found = find_python(version)
    if not found:
        pytest.skip(f"there is no CPython {version} here")
    return found
