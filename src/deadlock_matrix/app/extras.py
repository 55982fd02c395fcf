"""Libraries that the small install does not include, checked before anything runs."""

from __future__ import annotations

from importlib.util import find_spec

from deadlock_matrix.errors import MissingExtra

MATRIX = ("pytest", "xdist", "pytest_timeout", "scipy")
DIAGNOSE = ("scipy",)


def check_extra(extra: str, modules: tuple[str, ...]) -> None:
    """Check that what an extra brings is there; nothing is imported.

    Raises:
        MissingExtra: One sentence with the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra.of(module.replace("xdist", "pytest-xdist").replace("_", "-"), extra)
