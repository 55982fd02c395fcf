"""What a cell could load, as far as its text shows."""

from __future__ import annotations

import ast
import sys
from functools import cache

from deadlock_matrix.model.cell import Cell


def reaches_installed(cell: Cell) -> bool:
    """Return whether it could load anything installed: all but standard library imports."""
    texts = (cell.context.prelude, cell.entry.statement)
    return bool(cell.layout.overlays) or not all(map(_is_standard, texts))


@cache
def _is_standard(text: str) -> bool:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    for statement in body:
        if isinstance(statement, ast.Import):
            names = [each.name for each in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module or ""]
        else:
            return False
        if any(name.partition(".")[0] not in sys.stdlib_module_names for name in names):
            return False
    return True
