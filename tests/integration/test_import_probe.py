"""The fixture and the marker in somebody else's project: it passes, and says what to change."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import deadlock_matrix

PROJECT = Path(__file__).parents[1] / "downstream" / "project"
DOCUMENT = Path(__file__).parents[2] / "docs" / "pytest.md"
SOURCE = Path(deadlock_matrix.__file__).parents[1]
INSTALLED = "deadlock_matrix" in entry_points(group="pytest11").names
LOAD = () if INSTALLED else ("-p", "deadlock_matrix.pytest_plugin")
BOUND_S = 120

# Two threads, each inside the import that the other one waits for: the main one joins.
DEADLOCK = """
import threading

def work():
    import tinypackage.options

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

Run = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with a torch that is no torch."""
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "src" / "torch").mkdir()
    (copy / "src" / "torch" / "__init__.py").write_text("class Tensor: pass\n")
    return copy


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Run:
    """Run pytest in the project; returns what it printed."""

    def run_pytest(*arguments: str, status: int = 0) -> str:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_", "COVERAGE_"))
        }
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(SOURCE), *filter(None, [environment.get("PYTHONPATH")])]
        )
        environment["DEADLOCK_MATRIX_CACHE"] = str(tmp_path / "cache")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *LOAD, "-p", "no:cacheprovider", *arguments],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run_pytest


def edit(project: Path, name: str, text: str) -> None:
    (project / "src" / "tinypackage" / name).write_text(text)


def outcomes(text: str) -> dict[str, int]:
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", text)}


def message(text: str, test: str) -> str:
    """What is told of one failed test."""
    (part,) = re.findall(rf"^_+ {re.escape(test)} _+$(.*?)(?=^[_=]+ )", text, re.M | re.S)
    return str(part)


def test_a_healthy_project_passes(run: Run) -> None:
    text = run("-v")
    assert outcomes(text) == {"passed": 5}
    assert "test_gate[fork-again] PASSED" in text
    assert "deadlock matrix" not in text


def test_it_passes_under_xdist(run: Run) -> None:
    assert outcomes(run("-n", "2")) == {"passed": 5}


def test_who_imports_what_it_must_not_is_told(project: Path, run: Run) -> None:
    edit(project, "__init__.py", '"""Eager."""\n\nimport tinypackage.models\n')
    text = run(status=1)
    assert outcomes(text) == {"failed": 4, "passed": 1}
    lines = message(text, "test_gate[main]").strip().splitlines()
    assert lines == [
        "import tinypackage imports torch, which it must not",
        "  src/tinypackage/__init__.py:3 -> tinypackage.models "
        "(src/tinypackage/models.py:3) -> torch",
        "  to change: src/tinypackage/models.py:3 imports torch; "
        "import it inside the function that needs it",
    ]
    assert "\n".join(lines) in DOCUMENT.read_text()
    # The fixture was not told beforehand what to watch, and finds out all the same.
    assert message(text, "test_import_is_light").strip().splitlines() == lines


def test_a_deadlock_is_proved_and_told(project: Path, run: Run) -> None:
    edit(project, "__init__.py", DEADLOCK)
    text = run("-k", "light or main", status=1)
    assert outcomes(text) == {"failed": 2}
    for test in ("test_import_is_light", "test_gate[main]"):
        told = message(text, test)
        first, why, *_ = told.strip().splitlines()
        assert first == "import tinypackage deadlocks (proved)"
        assert "waits for the import lock of module 'tinypackage'" in why
        assert "known cause: " in told and "(import-lock-and-join)" in told
        assert "src/tinypackage/__init__.py:9 in <module>" in told


def test_a_late_import_is_told_what_it_loads(project: Path, run: Run) -> None:
    edit(project, "__init__.py", "import time, json\ntime.sleep(5.1)\n")
    told = message(run("-k", "main", status=1), "test_gate[main]").strip().splitlines()
    assert re.fullmatch(r"import tinypackage took 5\.\d+ s; 5\.00 s are allowed", told[0])
    assert "json (" in told[1]


@pytest.mark.parametrize(
    ("body", "first", "then"),
    [
        ("raise OSError('no licence')", "import tinypackage fails", "OSError: no licence"),
        ("import os; os.abort()", "import tinypackage crashes", "ended by SIGABRT in the entry"),
    ],
)
def test_an_error_and_a_crash_are_told(
    project: Path, run: Run, body: str, first: str, then: str
) -> None:
    edit(project, "__init__.py", body)
    told = message(run("-k", "main", status=1), "test_gate[main]").strip().splitlines()
    assert told[0] == first
    assert then in told[1]


def test_a_slow_import_is_ended_at_the_timeout(project: Path, run: Run) -> None:
    edit(project, "__init__.py", "import time\n" + "time.sleep(0.05)\n" * 200)
    (project / "tests" / "test_slow.py").write_text(
        "def test_slow(import_probe):\n"
        "    result = import_probe('tinypackage', timeout=3)\n"
        "    assert result.verdict == 'slow'\n"
        "    result.assert_ok()\n"
    )
    text = run("tests/test_slow.py", status=1)
    assert "import tinypackage is too slow" in text


def test_variables_profiles_and_interpreters_are_taken(project: Path, run: Run) -> None:
    edit(
        project,
        "__init__.py",
        "import sys\nfrom tinypackage import options\nassert sys.argv == ['']\n",
    )
    test = project / "tests" / "test_environment.py"
    test.write_text(f"""
import os
import pytest
from deadlock_matrix.errors import ConfigurationError

def test_environment(import_probe, monkeypatch):
    monkeypatch.setenv("MINE", "yes")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    code = "import os; assert (os.environ.get({{!r}}) == {{!r}}), os.environ.get({{!r}})"
    def expect(name, value, **options):
        import_probe(code.format(name, value, name), **options).assert_ok()
    expect("MINE", "yes")
    expect("MINE", None, env={{"MINE": None}})
    expect("MINE", "no", env={{"MINE": "no"}})
    expect("MKL_NUM_THREADS", "3")
    expect("MKL_NUM_THREADS", "1", profile="threads-1")
    expect("PYTEST_CURRENT_TEST", None)
    here = {sys.executable!r}
    import_probe(f"import sys; assert sys.executable == {{here!r}}", python=here).assert_ok()
    import_probe("import tinypackage", path=["src"]).assert_ok()
    assert import_probe("tinypackage", path=[]).verdict == "error"

def test_what_was_loaded(import_probe):
    result = import_probe("tinypackage.models", without=["torch"])
    result.assert_ok().assert_within(30).assert_not_imported("transformers", "tinypackage.other")
    assert result.packages["tinypackage"] == 3
    assert [step.module for step in result.chain("torch")] == ["tinypackage.models", "torch"]
    with pytest.raises(pytest.fail.Exception, match="imports tinypackage.options"):
        result.assert_not_imported("tinypackage.options")

def test_wrong_names(import_probe):
    with pytest.raises(ConfigurationError, match="did you mean 'fork-again'"):
        import_probe("tinypackage", context="fork-agian")
    with pytest.raises(ConfigurationError, match="no profile is called 'x'"):
        import_probe("tinypackage", profile="x")
""")
    assert outcomes(run("tests/test_environment.py")) == {"passed": 3}


def test_the_markers_of_a_module_and_a_function_both_count(project: Path, run: Run) -> None:
    (project / "tests" / "test_marks.py").write_text("""
import unittest
import pytest

pytestmark = pytest.mark.import_contract("tinypackage")
ran = []

@pytest.mark.import_contract("tinypackage.options", contexts="thread")
def test_both():
    ran.append(1)

class TestOld(unittest.TestCase):
    def test_old(self):
        assert len(ran) == 2
""")
    text = run("-v", "tests/test_marks.py")
    assert outcomes(text) == {"passed": 3}
    assert "test_both[tinypackage.options-thread] PASSED" in text
    assert "test_both[tinypackage-main] PASSED" in text


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("import_contract('tinypackage', withim=3)", "unexpected keyword argument 'withim'"),
        ("import_contract()", "missing 1 required positional argument: 'target'"),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_how_it_is_written(
    project: Path, run: Run, mark: str, told: str
) -> None:
    (project / "tests" / "test_marks.py").write_text(
        f"import pytest\n\n@pytest.mark.{mark}\ndef test_it(): ...\n"
    )
    text = run("tests/test_marks.py", status=2)
    assert told in text
    assert "it is import_contract(target, *, within=None" in text


def test_a_wrong_context_fails_the_test(project: Path, run: Run) -> None:
    (project / "tests" / "test_marks.py").write_text(
        "import pytest\n\n@pytest.mark.import_contract('tinypackage', contexts='mian')\n"
        "def test_it(): ...\n"
    )
    assert "no context is called 'mian'; did you mean 'main'?" in run(
        "tests/test_marks.py", status=1
    )


def test_a_suite_may_have_a_marker_of_its_own_for_imports(project: Path, run: Run) -> None:
    (project / "tests" / "test_marks.py").write_text(
        "import pytest\n\n@pytest.mark.imports(7, slow=True)\ndef test_it(): ...\n"
    )
    assert outcomes(run("-o", "markers=imports", "-m", "imports", "tests/test_marks.py")) == {
        "passed": 1
    }


def test_the_marker_is_listed(run: Run) -> None:
    assert "@pytest.mark.import_contract(target, *, within" in run("--markers")


def test_nothing_heavy_is_imported_before_it_is_needed(project: Path, run: Run) -> None:
    (project / "tests" / "test_light.py").write_text(
        "import sys\n\n"
        "def test_light():\n"
        "    ours = [name for name in sys.modules if name.startswith('deadlock_matrix')]\n"
        "    assert sorted(ours) == ['deadlock_matrix', 'deadlock_matrix.pytest_plugin',\n"
        "                            'deadlock_matrix.pytest_plugin.hooks']\n"
        "    assert 'msgspec' not in sys.modules\n"
    )
    assert outcomes(run("tests/test_light.py")) == {"passed": 1}


def test_a_marker_costs_nothing_until_its_test_runs(project: Path, run: Run) -> None:
    (project / "tests" / "conftest.py").write_text(
        "import sys\n\n"
        "def pytest_collection_finish(session):\n"
        "    assert len(session.items) == 5\n"
        "    assert 'msgspec' not in sys.modules\n"
        "    assert 'deadlock_matrix.pytest_plugin.import_probe' not in sys.modules\n"
    )
    run("--collect-only", "-q")
