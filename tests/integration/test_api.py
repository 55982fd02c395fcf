"""The public functions: every example of the documentation runs, and the import stays cheap."""

from __future__ import annotations

import re
import resource
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


MANY_DESCRIPTORS = """
import os, resource, subprocess, sys
from deadlock_matrix import inspect, watch

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
taken = [os.dup(0) for _ in range(1100)]
with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
    open_after = set()
    for _ in range(3):
        assert inspect(process.pid).outcome == "not-proved"
        assert watch(["true"]).end.status == 0
        open_after.add(len(os.listdir("/proc/self/fd")))
    process.communicate(b"\\n")
print(*open_after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes on Linux only")
def test_no_descriptor_is_kept_and_more_than_select_can_hold_do_no_harm() -> None:
    """A service may look at many processes, and have many files of its own open."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096:
        pytest.skip("no more than 1024 descriptors are allowed here")
    done = subprocess.run(
        [sys.executable, "-c", MANY_DESCRIPTORS],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 1, f"open after each round: {done.stdout}"
