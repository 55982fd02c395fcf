"""The lists of calls in docs/architecture.md are true, and the files that it names are there."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = REPOSITORY / "docs" / "architecture.md"
FILES = re.findall(r"`([\w.-]+/[\w./-]+\.(?:css|html|js|py|toml))`", DOCUMENT.read_text("utf-8"))
INDENT = 2


def calls() -> Iterator[tuple[str, str]]:
    """Each name with that of its caller; nothing for the first of a list."""
    for block in re.findall(r"```calls\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL):
        above: list[str] = []
        for line in block.splitlines():
            depth = (len(line) - len(line.lstrip())) // INDENT
            above[depth:] = [line.strip()]
            yield line.strip(), above[depth - 1] if depth else ""


def resolve(name: str) -> tuple[ModuleType, Any]:
    """The module of a name, and what the name stands for."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(("deadlock_matrix", *parts[:end])))
        except ModuleNotFoundError:
            continue
        found: Any = module
        for part in parts[end:]:
            found = getattr(found, part)
        return module, found
    raise LookupError(name)


@pytest.mark.parametrize(("name", "caller"), list(calls()))
def test_it_exists_and_is_called_there(name: str, caller: str) -> None:
    _, found = resolve(name)
    assert callable(found)
    if caller:
        module, _ = resolve(caller)
        assert re.search(rf"\b{name.rpartition('.')[2]}\(", inspect.getsource(module))


def test_there_are_three() -> None:
    assert len([name for name, caller in calls() if not caller]) == 3


@pytest.mark.parametrize("name", sorted(set(FILES)))
def test_a_file_is_named_by_its_path(name: str) -> None:
    """In the package, or in the repository."""
    assert any((base / name).is_file() for base in (REPOSITORY / "src/deadlock_matrix", REPOSITORY))
