"""What a failing import test says of who imports what."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deadlock_matrix.model.cell import Calling, Context
from deadlock_matrix.model.observation import CellResult, ImportStep
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.pytest_plugin.import_messages import Importer, imported, not_ok, too_long
from tests.unit.test_report_samples import cell, probe_facts, result

ROOT = Path("/home/me/project")
INSTALLED = f"{ROOT}/.venv/lib/python3.11/site-packages"


def step(module: str, file: str, line: int = 3) -> ImportStep:
    return ImportStep(module=module, importer="?", file=file, line=line)


def told(*chain: ImportStep, of: CellResult | None = None) -> list[str]:
    importer = Importer(chain=chain, root=ROOT)
    return imported(of or result(cell(entry="pack")), {"torch": importer}).splitlines()


def test_the_line_to_change_is_the_last_one_of_the_project() -> None:
    lines = told(
        step("pack", "<entry>", 1),
        step("helper", f"{ROOT}/pack/__init__.py", 7),
        step("torch", f"{INSTALLED}/helper/__init__.py", 2),
    )
    assert lines == [
        "import pack imports torch, which it must not",
        "  pack/__init__.py:7 -> helper "
        "(.venv/lib/python3.11/site-packages/helper/__init__.py:2) -> torch",
        "  to change: pack/__init__.py:7 imports helper; "
        "import it inside the function that needs it",
    ]


def test_nothing_is_advised_where_no_line_is_the_projects() -> None:
    lines = told(step("torch", "<entry>", 1))
    assert lines[1:] == ["  <entry>:1 -> torch"]


def test_a_module_that_no_import_statement_loaded_is_told_so() -> None:
    (_, why) = told()
    assert "not imported by an import statement" in why


def test_the_context_is_told() -> None:
    forked = cell(entry="pack", context="main")
    context = Context(name="fork-again", calling=Calling.FORK_AGAIN)
    of = result(msgspec.structs.replace(forked, context=context), Verdict.HANG, why="no progress")
    first, why, *_ = not_ok(of).splitlines()
    assert first == "import pack called from fork-again hangs"
    assert why == "why: no progress"


def test_a_late_import_names_what_it_loads_most_of() -> None:
    facts = msgspec.structs.replace(
        probe_facts(9.0, {}), top_levels={f"p{n}": n for n in range(1, 9)}
    )
    first, second = too_long(result(cell(entry="pack")), 9.0, 5.0, facts).splitlines()
    assert first == "import pack took 9.00 s; 5.00 s are allowed"
    assert second.startswith("it loaded most modules from: p8 (8 modules), p7 (7 modules)")
    assert "p3" not in second


def test_text_from_outside_is_shown_harmless() -> None:
    (line,) = told(step("torch", "<entry>\x1b[31m", 1))[1:]
    assert "\x1b" not in line
