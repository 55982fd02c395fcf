"""The plugin in pytest runs of its own: real cells where it matters, scripted ones elsewhere.

Controls take seconds, so most runs answer them by script, through the hook that is there for
running cells elsewhere; `test_a_real_run` has real ones.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import psutil
import pytest

import deadlock_matrix

# Runs inside this process would load it anew each time, and its types with it.
import deadlock_matrix.pytest_plugin.activation
from deadlock_matrix.errors import ExitStatus
from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.store import assemble, read_report

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parent.parent / "matrix"
SOURCE = Path(deadlock_matrix.__file__).parent.parent
PLUGIN = "deadlock_matrix.pytest_plugin"
INSTALLED = "deadlock_matrix" in entry_points(group="pytest11").names
LOAD = () if INSTALLED else ("-p", PLUGIN)
ON = (
    *LOAD,
    "--deadlock-matrix=matrix.toml",
    "--coverage=full",
    "--profile=baseline",
    "--context=main",
)

SCRIPTED = """
import pytest
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

CONTROL = {control!r}
CELLS = {cells!r}

def pytest_deadlock_matrix_run_cell(cell):
    if cell.role is not Role.MATRIX:
        verdict = Verdict(CONTROL) if CONTROL else cell.expect[0]
    elif CELLS:
        verdict = Verdict(cell.entry.name)
    else:
        return None
    return CellResult(cell=cell, verdict=verdict, why="by script", observation=unknown("by script"))
"""

Write = Callable[..., None]
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by procfs")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _environment(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEADLOCK_MATRIX_CACHE", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Write:
    """Writes a folder with the import test, a configuration, and scripted controls."""

    def write(entries: dict[str, str], control: str = "", cells: bool = False) -> None:
        shutil.copy(SUITE / "test_imports.py", pytester.path)
        pytester.makeconftest(SCRIPTED.format(control=control, cells=cells))
        tables = "".join(
            f"[[entry]]\nname = {name!r}\nstatement = '''{statement}'''\n"
            for name, statement in entries.items()
        )
        (pytester.path / "matrix.toml").write_text(f"deadline-s = 30\n{tables}")

    return write


@pytest.fixture
def scripted(project: Write) -> Write:
    """Writes a project whose cells come out as they are called."""

    def write(*verdicts: str, control: str = "") -> None:
        project(dict.fromkeys(verdicts, "import json"), control=control, cells=True)

    return write


def run_folder(pytester: pytest.Pytester) -> Path:
    (folder,) = (pytester.path / "reports").iterdir()
    return folder


def report_of(pytester: pytest.Pytester) -> Report:
    return read_report(run_folder(pytester))


def verdicts(report: Report) -> dict[str, str]:
    return {each.cell.entry.name: each.verdict.value for each in report.cells}


def first_line(result: pytest.RunResult) -> str:
    """The first line under the matrix' own heading."""
    lines = result.outlines
    (at,) = [n for n, line in enumerate(lines) if line.strip("= ") == "deadlock matrix"]
    return lines[at + 1]


# --- off ----------------------------------------------------------------------------------------


def test_it_is_cheap_to_have_installed() -> None:
    code = (
        f"import sys, pytest; before = set(sys.modules); import {PLUGIN}; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"['deadlock_matrix', '{PLUGIN}']"


def test_it_leaves_other_runs_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def cell():
            return "mine"

        def test_mine(cell, request):
            assert cell == "mine"
            assert request.config.getoption("profile") == "theirs"
        """
    )
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--profile')")
    result = pytester.runpytest(*LOAD, "--profile=theirs")
    result.assert_outcomes(passed=1)
    assert "deadlock matrix" not in result.stdout.str()
    assert not (pytester.path / "reports").exists()


def test_without_the_matrix_the_import_test_says_how_to_get_one(pytester: pytest.Pytester) -> None:
    for name in ("test_imports.py", "conftest.py"):
        shutil.copy(SUITE / name, pytester.path)
    result = pytester.runpytest(*LOAD, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*switch the matrix on with --deadlock-matrix*"])


# --- what is run --------------------------------------------------------------------------------


def test_collecting_only_lists_the_cells_and_writes_nothing(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok", "error")
    result = pytester.runpytest(*ON, "--collect-only", "-q")
    ids = [line.partition("[")[2] for line in result.outlines if "[" in line]
    assert [name.split("/")[0] for name in ids[:3]] == [
        "positive-control",
        "negative-control",
        "negative-control",
    ]
    assert ids[3:] == ["this/baseline/installed/ok/main]", "this/baseline/installed/error/main]"]
    assert not (pytester.path / "reports").exists()


def test_axes_select(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok", "error", "crash")
    result = pytester.runpytest(
        *ON, "--entry=ok", "--entry=crash", "--exclude=entry=crash", "--repeat=2", "-q"
    )
    result.assert_outcomes(passed=5)
    ids = [each.cell.id for each in report_of(pytester).cells]
    assert ids == ["this/baseline/installed/ok/main", "this/baseline/installed/ok/main/#2"]


def test_an_interpreter_gets_its_own_controls(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok")
    names = [f"--interpreter={name}={sys.executable}" for name in ("first", "second")]
    result = pytester.runpytest(*ON, *names)
    result.assert_outcomes(passed=8)
    report = report_of(pytester)
    assert [each.name for each in report.interpreters] == ["first", "second"]
    assert len(report.controls) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset=smoek"], "*did you mean 'smoke'*"),
        (["--entry=okk"], "*no entry is called 'okk'*"),
        (["--coverage=some"], "*invalid choice*"),
        (["--repeat=0"], "*'0' is not a whole number of 1 or more*"),
        (["--deadlock-matrix", "test_imports.py"], "*put it before this option*"),
        (["--deadlock-matrix=gone.toml"], "*gone.toml*"),
    ],
)
def test_impossible_options_are_one_clear_error(
    pytester: pytest.Pytester, scripted: Write, options: list[str], message: str
) -> None:
    scripted("ok")
    on = [option for option in ON if not option.startswith("--cov")]
    result = pytester.runpytest(*on, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert not (pytester.path / "reports").exists()


def test_another_plugin_with_such_an_option_is_named(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok")
    pytester.makepyfile(other="def pytest_addoption(parser): parser.addoption('--profile')")
    pytester.syspathinsert()
    result = pytester.runpytest("-p", "other", *ON)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*another plugin has an option*--profile*"])


# --- how it comes out ---------------------------------------------------------------------------


def test_expected_verdicts_pass_and_others_fail(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok", "deadlock", "error", "unavailable")
    with (pytester.path / "matrix.toml").open("a") as file:
        file.write('[[expect]]\nentry = "deadlock"\nverdicts = ["deadlock"]\nreason = "known"\n')
    result = pytester.runpytest(*ON, "-rs")
    result.assert_outcomes(passed=5, failed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "error (expected ok): this/baseline/installed/error/main",
            "why: by script",
            "*report: *report.json",
            "*unavailable: by script*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert first_line(result).startswith("unexpected: 1 of 4 cells not as expected, 3 controls")
    assert report_of(pytester).summary.unexpected == 1


def test_all_as_expected_is_success(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok")
    result = pytester.runpytest(*ON, "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.OK
    assert first_line(result) == "valid: all cells as expected, 3 controls right"


def test_a_failed_control_fails_the_run(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok", control="ok")
    result = pytester.runpytest(*ON)
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == ExitStatus.CONTROLS_WRONG
    assert first_line(result).startswith("controls wrong: 1 of 3 controls failed")


def test_an_unavailable_control_fails_a_run_in_which_no_test_does(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok", control="unavailable")
    result = pytester.runpytest(*ON)
    result.assert_outcomes(passed=1, skipped=3)
    assert result.ret == ExitStatus.CONTROLS_WRONG
    assert first_line(result).startswith("controls wrong: 3 of 3 controls failed")


def test_a_run_without_controls_fails(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok")
    result = pytester.runpytest(
        *ON, "test_imports.py::test_import[this/baseline/installed/ok/main]"
    )
    result.assert_outcomes(passed=1)
    assert result.ret == ExitStatus.CONTROLS_WRONG
    assert first_line(result).startswith("controls wrong: no control was run")


def test_a_selection_by_keyword_keeps_the_controls(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok", "error", "crash")
    result = pytester.runpytest(*ON, "-k", "installed/ok")
    result.assert_outcomes(passed=4, deselected=2)
    assert result.ret == pytest.ExitCode.OK
    report = report_of(pytester)
    assert (report.planned, report.summary.complete) == (1, True)


def test_a_selection_of_nothing_leaves_nothing(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok")
    result = pytester.runpytest(*ON, "-k", "nothing_of_this_name")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not list((pytester.path / "reports").iterdir())


def test_stopping_at_the_first_failure_keeps_what_is_finished(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok", "error", "crash")
    result = pytester.runpytest(*ON, "-x")
    result.assert_outcomes(passed=4, failed=1)
    assert result.ret == ExitStatus.INCOMPLETE
    report = report_of(pytester)
    assert verdicts(report) == {"ok": "ok", "error": "error"}
    assert (report.planned, report.summary.complete) == (3, False)
    result.stdout.fnmatch_lines(["incomplete: 2 of 3 cells done; it was stopped early*"])


def test_workers_that_stop_at_the_first_failure_are_not_interrupted(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("error", "ok")
    result = pytester.runpytest_subprocess(*ON, "-x", "-n", "2", "--repeat=40")
    assert result.ret == ExitStatus.INCOMPLETE
    assert first_line(result).startswith("incomplete: ")
    assert "it was stopped early" in " ".join(result.outlines)


def test_junit_has_a_test_for_each_cell(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok", "hang")
    pytester.runpytest(*ON, "--junitxml=junit.xml")
    cases = list(ElementTree.parse(pytester.path / "junit.xml").iter("testcase"))
    assert len(cases) == 5
    (failed,) = [case for case in cases if case.find("failure") is not None]
    assert failed.attrib["name"] == "test_import[this/baseline/installed/hang/main]"
    failure = failed.find("failure")
    assert failure is not None
    assert "hang (expected ok): this/baseline/installed/hang/main" in failure.attrib["message"]
    assert not [case for case in cases if case.find("properties") is not None]  # not in the XSD


def test_the_report_goes_where_it_is_asked_for_once(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok")
    option = "--deadlock-matrix-report=out/here"
    assert pytester.runpytest(*ON, option).ret == pytest.ExitCode.OK
    assert read_report(pytester.path / "out" / "here").controlled
    again = pytester.runpytest(*ON, option)
    assert again.ret == pytest.ExitCode.USAGE_ERROR
    again.stderr.fnmatch_lines(["*already holds a run*"])


def test_a_test_of_ones_own_with_other_parameters(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok")
    (pytester.path / "test_imports.py").unlink()
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("other", ["x-1", "y"])
        def test_own(cell, other, run_cell):
            assert run_cell(cell).as_expected
        """
    )
    result = pytester.runpytest(*ON)
    result.assert_outcomes(passed=8)
    assert report_of(pytester).summary.complete


def test_each_test_has_a_second_guard_beyond_the_deadline(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok")
    (pytester.path / "test_imports.py").unlink()
    pytester.makepyfile(
        """
        def test_guard(cell, run_cell, request):
            assert request.node.get_closest_marker("timeout").args[0] > cell.deadline_s + 30
            run_cell(cell)
        """
    )
    pytester.runpytest(*ON).assert_outcomes(passed=4)


def test_it_needs_none_of_the_other_plugins(pytester: pytest.Pytester, scripted: Write) -> None:
    scripted("ok")
    without = [
        option for name in ("timeout", "xdist", "terminal") for option in ("-p", f"no:{name}")
    ]
    assert pytester.runpytest(*ON, *without, "--strict-markers").ret == pytest.ExitCode.OK
    assert report_of(pytester).controlled


# --- pytest-xdist -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["2", "auto", "0"])
def test_workers_share_one_run(pytester: pytest.Pytester, scripted: Write, workers: str) -> None:
    scripted("ok", "error", "hang", "crash", "slow", "deadlock")
    result = pytester.runpytest_subprocess(*ON, "-n", workers, "-k", "not slow")
    result.assert_outcomes(passed=4, failed=4)
    report = report_of(pytester)
    assert set(verdicts(report)) == {"ok", "error", "hang", "crash", "deadlock"}
    assert (report.planned, report.summary.complete, report.controlled) == (5, True, True)
    journals = {path.stem for path in (run_folder(pytester) / "journal").iterdir()}
    assert journals == {"main"} if workers == "0" else journals <= {"gw0", "gw1", "gw2", "gw3"}


def test_a_real_run(pytester: pytest.Pytester, project: Write) -> None:
    project(
        {
            "quick": "import json",
            "stuck": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
            "raises": "import nothing_of_this_name",
        }
    )
    (pytester.path / "conftest.py").unlink()
    with (pytester.path / "matrix.toml").open("a") as file:
        file.write('[[layout]]\nname = "installed"\n')
        file.write('[[layout]]\nname = "future"\npython = ">=3.99"\n')
    result = pytester.runpytest_subprocess(*ON, "-n", "2", timeout=300)
    result.assert_outcomes(passed=4, failed=2, skipped=3)
    assert first_line(result).startswith("unexpected: 2 of 6 cells not as expected, 3 controls")
    report = report_of(pytester)
    ran = {each.cell.entry.name: each for each in report.cells if each.cell.layout.name != "future"}
    assert ran["quick"].verdict is Verdict.OK
    assert ran["raises"].verdict is Verdict.ERROR
    assert ran["stuck"].verdict in (Verdict.DEADLOCK, Verdict.HANG)
    result.stdout.fnmatch_lines(["*raised: ModuleNotFoundError*", "*needs Python >=3.99*"])
    assert not (run_folder(pytester) / "scratch").exists()


# --- what died says why -------------------------------------------------------------------------

LAST_WORDS = "INTEL ERROR: libgone.so: cannot open it"
DIES = f"import os; os.write(1, b'{LAST_WORDS} \\x1b[2J\\n'); os.write(2, b'so I end'); os._exit(2)"


def test_a_cell_that_dies_says_its_last_words_everywhere(
    pytester: pytest.Pytester, project: Write
) -> None:
    project({"dies": DIES})
    result = pytester.runpytest_subprocess(*ON, "-n", "0", timeout=120)
    assert result.ret == ExitStatus.FAILED
    folder = run_folder(pytester)
    renderings = {
        "pytest": result.stdout.str().partition("= deadlock matrix =")[0],
        "terminal": result.stdout.str().partition("= deadlock matrix =")[2],
    }
    for name in ("markdown", "html", "junit"):
        file = pytester.path / name
        command = [sys.executable, "-m", "deadlock_matrix", "report", "render", str(folder)]
        subprocess.run([*command, f"--{name}", str(file)], check=True, timeout=60)
        renderings[name] = file.read_text(encoding="utf-8")
    for name, shown in renderings.items():
        assert "stderr, last lines:" in shown, name
        assert "so I end" in shown, name
        assert f"{LAST_WORDS} " in shown, name
        assert "\x1b[2J" not in shown, name


# --- a disk that is full --------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_cannot_be_written_is_told_all_the_same(
    pytester: pytest.Pytester, project: Write, workers: str
) -> None:
    """Files may not grow beyond some size, which is how a full disk looks from inside."""
    project({"large": "print('x' * 60_000)", "small": "import json"})
    limited = (
        "import resource; import pytest; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
        f"raise SystemExit(pytest.main({[*ON, '-n', workers]!r}))"
    )
    result = pytester.run(sys.executable, "-c", limited, timeout=120)
    assert result.ret == ExitStatus.NOT_WRITTEN
    first = first_line(result)
    assert first.startswith("not written: 1 of 5 results could not be saved (File too large)")
    result.stdout.fnmatch_lines(["*large/main* is ok, but *cannot be written: File too large"])
    assert "2 of 2 cells in" in result.stdout.str()
    shown = subprocess.run(
        [sys.executable, "-m", "deadlock_matrix", "report", "show", str(run_folder(pytester))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "valid" not in shown.stdout.partition(":")[0]
    assert shown.returncode == ExitStatus.INCOMPLETE  # what it held is only what was written


# --- early ----------------------------------------------------------------------------------------


def test_the_table_of_an_interpreter_does_not_wait_for_the_others(
    pytester: pytest.Pytester, scripted: Write
) -> None:
    scripted("ok", "hang")
    names = [f"--interpreter={name}={sys.executable}" for name in ("first", "second")]
    result = pytester.runpytest(*ON, *names)
    early, _, late = result.stdout.str().partition("= deadlock matrix =")
    tables = [line for line in early.splitlines() if line.startswith(("first: ", "second: "))]
    assert len(tables) == 1
    assert "baseline         hang 1/2 !" in early
    assert late.count("baseline         hang 1/2 !") == 2


# --- interrupted --------------------------------------------------------------------------------


class Interrupted:
    """A run of one quick cell and one that never ends, begun in a session of its own."""

    def __init__(self, pytester: pytest.Pytester, mark: Path, workers: int) -> None:
        self.output = pytester.path / "output"
        command = [sys.executable, "-m", "pytest", *ON, "-n", str(workers)]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command, cwd=pytester.path, stdout=file, stderr=file, start_new_session=True
            )
        self.probe = psutil.Process(int(wait_for(lambda: mark.exists() and mark.read_text())))
        self.folder = run_folder(pytester)

    def worker(self) -> psutil.Process:
        """The worker that runs the cell that never ends."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if self.probe in child.children(recursive=True))

    def finished(self) -> list[str]:
        return [each.cell.entry.name for each in assemble(self.folder).cells]


def wait_for(condition: Callable[[], object], within_s: float = 120) -> str:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := condition():
            return str(found)
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


@pytest.fixture
def begin(pytester: pytest.Pytester, project: Write) -> Iterator[Callable[[int], Interrupted]]:
    """Begins a run and waits until its last cell hangs and its others are finished."""
    mark = pytester.path / "mark"
    begun: list[Interrupted] = []

    def start(workers: int) -> Interrupted:
        endless = (
            f"import os, pathlib, time; draft = pathlib.Path({str(mark) + '.draft'!r}); "
            f"draft.write_text(str(os.getpid())); draft.rename({str(mark)!r}); time.sleep(600)"
        )
        project({"quick": "import json", "endless": endless})
        begun.append(Interrupted(pytester, mark, workers))
        wait_for(lambda: begun[0].finished() == ["quick"])
        return begun[0]

    yield start
    for each in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()
        wait_for(lambda each=each: not each.probe.is_running())  # type: ignore[misc]


@linux
@pytest.mark.parametrize("workers", [0, 2])
def test_interrupting_writes_the_report(begin: Callable[[int], Interrupted], workers: int) -> None:
    run = begin(workers)
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    assert run.process.wait(120) == ExitStatus.INTERRUPTED
    report = read_report(run.folder)
    assert verdicts(report) == {"quick": "ok"}
    assert (report.planned, report.summary.complete, report.controlled) == (2, False, True)
    assert "interrupted: 1 of 2 cells done" in run.output.read_text()
    assert report.outcome is RunOutcome.INTERRUPTED
    wait_for(lambda: not run.probe.is_running())


@linux
def test_a_killed_worker_costs_its_cell_alone(begin: Callable[[int], Interrupted]) -> None:
    run = begin(2)
    run.worker().kill()
    assert run.process.wait(120) == ExitStatus.INCOMPLETE
    report = read_report(run.folder)
    assert verdicts(report) == {"quick": "ok"}
    assert not report.summary.complete
    output = run.output.read_text()
    assert "crashed while running" in output
    assert "incomplete: 1 of 2 cells done" in output
    assert not run.probe.is_running()


@linux
def test_a_killed_controller_loses_no_finished_cell(begin: Callable[[int], Interrupted]) -> None:
    run = begin(2)
    worker = run.worker()
    run.process.kill()
    run.process.wait()
    wait_for(lambda: not worker.is_running() or worker.status() == "zombie")
    report = assemble(run.folder)
    assert report.outcome is RunOutcome.INCOMPLETE
    assert verdicts(report) == {"quick": "ok"}
    assert (report.planned, report.summary.complete, report.controlled) == (2, False, True)
    wait_for(lambda: not run.probe.is_running())


# --- a terminal ---------------------------------------------------------------------------------


@linux
def test_a_terminal_shows_a_progress_line(pytester: pytest.Pytester, scripted: Write) -> None:
    import pty

    scripted("ok", "hang")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "pytest", *ON]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, cwd=pytester.path, stdout=child, env=environment) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                shown += os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
    os.close(parent)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    text = shown.decode()
    assert "\r0/5 cells done, 1 running, 0 hung" in text
    assert "\r5/5 cells done, 0 running, 1 hung" in text
    assert "\rhang  this/baseline/installed/hang/main" in text
    assert "FAILED test_imports.py" in text
    assert "4 passed" in text
