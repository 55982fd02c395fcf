"""`reaches_installed`: whether what is installed has to be measured for a cell."""

from __future__ import annotations

import pytest

from deadlock_matrix.matrix.reach import reaches_installed
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile


def cell(statement: str, prelude: str = "", overlays: tuple[str, ...] = ()) -> Cell:
    return Cell(
        target="test",
        interpreter=Interpreter(name="one", executable="/one/python"),
        profile=Profile(name="baseline"),
        layout=Layout(name="installed", overlays=overlays),
        entry=Entry(name="entry", statement=statement),
        context=Context(name="main", prelude=prelude),
    )


@pytest.mark.parametrize(
    "statement", ["import json", "import json, os.path as p\nfrom concurrent import futures"]
)
def test_imports_of_the_standard_library(statement: str) -> None:
    assert not reaches_installed(cell(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "import numpy",
        "import json, numpy",
        "from . import part",
        "import importlib; importlib.import_module('numpy')",
        "if True:\n    import json",
        "import",
    ],
)
def test_anything_else(statement: str) -> None:
    assert reaches_installed(cell(statement))


def test_what_comes_before_counts_and_so_do_files_of_the_layout() -> None:
    assert reaches_installed(cell("import json", prelude="import numpy"))
    assert reaches_installed(cell("import json", overlays=("/package",)))
