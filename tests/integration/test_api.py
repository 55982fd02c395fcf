"""The public functions: every example of the documentation runs, and the import stays cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import deadlock_matrix

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["inspect", "watch", "diagnose", "run_matrix"])
def test_an_example_runs(example: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_import_of_the_package_imports_nothing_more() -> None:
    code = (
        "import sys; before = set(sys.modules); import deadlock_matrix;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['deadlock_matrix']"


def test_its_names() -> None:
    for name in deadlock_matrix.__all__:
        assert getattr(deadlock_matrix, name)
    assert set(deadlock_matrix.__all__) <= set(dir(deadlock_matrix))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        deadlock_matrix.nonsense  # noqa: B018
