"""The environment of a probe: the user's own, without the harness, and exactly the profile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from deadlock_matrix.interpreters.native.variables import PREFIXES
from deadlock_matrix.model.cell import Interpreter, Profile

HARNESS_PREFIXES = (
    "PYTHON", "PYTEST_", "NOX_", "COV_", "COVERAGE_", "VIRTUAL_ENV", "DEADLOCK_MATRIX_",
)  # fmt: skip
"""Variables that the harness's own tools set; a probe must not see them."""

RECORDED_PREFIXES = (
    *PREFIXES, "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_", "OBJC_DISABLE_INITIALIZE_FORK_SAFETY",
    "MALLOC_", "GLIBC_TUNABLES", "PYTHON",
)  # fmt: skip
"""What a report may contain of an environment, besides the variables of the profile."""


def make_environment(
    interpreter: Interpreter,
    profile: Profile,
    base: Mapping[str, str],
    harness_folder: Path | None = None,
) -> dict[str, str]:
    """Return the environment of a cell: the interpreter's own variables, then the profile's.

    ``base`` is usually ``os.environ``. The folder of the harness's own interpreter is removed from
    ``PATH``: the user's script would not find its programs there.
    """
    # The value of a variable of the harness is not asked for: pytest removes its own meanwhile.
    environment = {name: base[name] for name in base if not name.startswith(HARNESS_PREFIXES)}
    environment.pop("_", None)
    if harness_folder is not None and "PATH" in environment:
        environment["PATH"] = _without(environment["PATH"], harness_folder)
    environment.update(interpreter.set)
    for name in profile.unset:
        environment.pop(name, None)
    environment.update(profile.set)
    return environment


@lru_cache(maxsize=8)  # the same for thousands of cells
def _without(path: str, folder: Path) -> str:
    return os.pathsep.join(part for part in path.split(os.pathsep) if Path(part) != folder)


def recorded(
    environment: Mapping[str, str], interpreter: Interpreter, profile: Profile
) -> dict[str, str]:
    """Return the part of an environment that a report may contain, sorted by name."""
    return {
        name: environment[name]
        for name in sorted(environment)
        if name in profile.set or name in interpreter.set or name.startswith(RECORDED_PREFIXES)
    }
