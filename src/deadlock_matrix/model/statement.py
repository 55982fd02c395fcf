"""What a statement says about itself."""

from __future__ import annotations

import ast


def imported_package(statement: str) -> str:
    """Return the first package that a statement imports; empty if there is none."""
    try:
        nodes = list(ast.walk(ast.parse(statement)))
    except (SyntaxError, ValueError):
        return ""
    for node in nodes:
        if isinstance(node, ast.Import):
            return node.names[0].name.partition(".")[0]
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            return node.module.partition(".")[0]
    return ""
