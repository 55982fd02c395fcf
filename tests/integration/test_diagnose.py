"""``deadlock-matrix diagnose`` on real hangs: cause, remedy, and a script that hangs alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from integration.cells import SCENARIOS
from scenarios.scenario import build, load_scenario

from deadlock_matrix.errors import Unavailable
from deadlock_matrix.model.diagnosis import Diagnosis, Effect, Outcome, RemedyKind
from deadlock_matrix.model.fact import Known

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux"),
]
TOOL = (sys.executable, "-m", "deadlock_matrix", "diagnose", "--python", sys.executable)
WITHIN_S = 60.0
SLACK_S = 60.0  # other tests run at the same time
ALONE_S = 4.0


class Answer(NamedTuple):
    """What the command said, wrote and took."""

    status: int
    text: str
    found: Diagnosis
    folder: Path
    took_s: float


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def diagnose(folder: Path, *arguments: str, cache: Path) -> Answer:
    """Run the command in ``folder``."""
    began = time.monotonic()
    done = subprocess.run(
        [*TOOL, "--output", "out", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "DEADLOCK_MATRIX_CACHE": str(cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S + SLACK_S,
        check=False,
    )
    took_s = time.monotonic() - began
    path = folder / "out" / "diagnosis.json"
    assert path.exists(), done.stderr
    found = msgspec.json.decode(path.read_bytes(), type=Diagnosis)
    return Answer(done.returncode, done.stdout, found, folder / "out", took_s)


def build_scenario(name: str, cache: Path) -> tuple[Path, str]:
    """The folder to put first, and the statement: nothing else is told."""
    scenario = load_scenario(SCENARIOS / name)
    try:
        return build(scenario, sys.executable, cache / "built"), scenario.statement
    except Unavailable as error:
        pytest.skip(str(error))


def hangs_alone(script: Path) -> bool:
    """Whether a script is still there after a time that its import needs only a part of."""
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(ALONE_S)
    except subprocess.TimeoutExpired:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # also what it has forked
        process.wait()
    return False


SCENARIO_CASES = [
    ("crossed-mutexes", "waits for mutex", ""),
    ("gil-against-mutex", "GIL", "GIL"),
    ("mutex-held-over-fork", "waits for the end of process", "forked child"),
    ("thread-imports-same-package", "import", "imported"),
    ("crosswise-imports-joined", "import", ""),
    ("python-lock-crossed", "wait", ""),
    ("once-reentry", "waits", ""),
    ("static-local-reentry", "waits", ""),
    ("constructor-dlopen-join", "waits for", "constructor"),
    ("native-join-cycle", "joins thread", ""),
]


@pytest.mark.parametrize(("name", "mechanism", "cause"), SCENARIO_CASES)
def test_a_hang_is_explained_and_can_be_shown_without_the_tool(
    name: str, mechanism: str, cause: str, cache: Path, tmp_path: Path
) -> None:
    folder, statement = build_scenario(name, cache)
    answer = diagnose(tmp_path, "--statement", statement, "--path", str(folder), cache=cache)
    found = answer.found
    assert (answer.status, found.outcome) == (35, Outcome.DEADLOCK), answer.text
    assert mechanism in found.sentence
    assert found.rate.hangs == found.rate.runs >= 3
    assert found.interval is not None
    assert cause in " ".join(each.title + each.explanation for each in found.causes)
    # Nothing that can be set, or called otherwise, could help here: nothing of it is tried.
    assert {trial.remedy.kind for trial in found.trials} <= {RemedyKind.SOURCE}
    assert found.stuck
    assert found.reproducer is not None
    assert found.reproducer.alone == Known(value="deadlock", source=found.reproducer.alone.source)  # type: ignore[union-attr]
    assert answer.took_s < WITHIN_S + SLACK_S / 2
    assert hangs_alone(answer.folder / "reproducer.py")


def test_a_child_that_fills_its_pipe_is_explained(cache: Path, tmp_path: Path) -> None:
    """Proved or not: an alarm may end its write, and any other process may have the pipe too."""
    folder, statement = build_scenario("child-fills-its-pipe", cache)
    answer = diagnose(
        tmp_path, "--statement", statement, "--path", str(folder), "--deadline", "4", cache=cache
    )
    found = answer.found
    assert found.outcome in (Outcome.DEADLOCK, Outcome.HANG), answer.text
    assert "waits for the end of process" in found.sentence
    if found.outcome is Outcome.HANG:
        assert found.advice[0].startswith(("This is likely, not proved", "It is not proved"))
    assert any(line.text == "child.wait()" for each in found.stuck for line in each.lines)
    assert [cause.name for cause in found.causes] == ["subprocess-wait-undrained"]
    assert {trial.remedy.name for trial in found.trials} <= {"after-import"}
    assert hangs_alone(answer.folder / "reproducer.py")


def test_the_variable_that_matters_and_the_layout_are_found(cache: Path, tmp_path: Path) -> None:
    folder, statement = build_scenario("nested-init-eager", cache)
    lazy, _ = build_scenario("nested-init-lazy", cache)
    answer = diagnose(
        tmp_path, "--statement", statement, "--path", str(folder), "--layout", f"lazy={lazy}",
        cache=cache,
    )  # fmt: skip
    found = answer.found
    effects = {trial.remedy.name: trial.effect for trial in found.trials}
    assert effects["mkl-sequential"] is Effect.CURES
    assert effects["lazy"] is Effect.CURES
    assert effects["mkl-gnu"] is Effect.NOTHING
    assert "threads-1" not in effects  # the library reads none of its variables
    assert found.cure is not None
    assert found.cure.remedy.profile.set == {"MKL_THREADING_LAYER": "SEQUENTIAL"}
    assert found.variables is not None
    assert found.variables.elements == ("MKL_THREADING_LAYER",)
    assert found.imports[-1].startswith("tinycore.models.gpt2 ")
    assert any(path.endswith("libpool.so") for path in found.involved)
    assert "export MKL_THREADING_LAYER=SEQUENTIAL" in answer.text
    assert max(map(len, answer.text.splitlines())) <= 80 or "libpool" in answer.text
    assert hangs_alone(answer.folder / "reproducer.py")
    report = (answer.folder / "bug-report.md").read_text()
    assert "## To reproduce" in report
    assert "`from tinycore.models import gpt2` deadlocks" in report


def test_a_hang_that_nobody_can_prove_is_explained_too(cache: Path, tmp_path: Path) -> None:
    """It spins and naps for ever: no owner, no kernel wait."""
    folder, statement = build_scenario("mutex-type-clash", cache)
    answer = diagnose(
        tmp_path, "--statement", statement, "--path", str(folder), "--deadline", "2", cache=cache
    )
    found = answer.found
    assert (answer.status, found.outcome) == (124, Outcome.HANG)
    assert "spins for ever" in " ".join(cause.title for cause in found.causes)
    assert "--deadline" in found.advice[0]
    assert any(path.endswith("libnewer.so") for path in found.involved)
    assert answer.took_s < WITHIN_S + SLACK_S / 2
    assert hangs_alone(answer.folder / "reproducer.py")


def test_a_hang_that_comes_sometimes(cache: Path, tmp_path: Path) -> None:
    """The package decides by chance; a variable keeps it from hanging."""
    (tmp_path / "sometimes.py").write_text(
        "import os, random, threading\n"
        "share = 0.0 if os.environ.get('TOKENIZERS_PARALLELISM') == 'false' else 0.3\n"
        "if random.SystemRandom().random() < share:\n"
        "    lock = threading.Lock()\n"
        "    lock.acquire()\n"
        "    lock.acquire()\n"
    )
    answer = diagnose(tmp_path, "sometimes", "--repeat", "60", "--context", "main", cache=cache)
    found = answer.found
    assert found.outcome is Outcome.DEADLOCK
    assert 0 < found.rate.hangs < found.rate.runs
    assert found.cure is not None
    assert found.cure.remedy.profile.set == {"TOKENIZERS_PARALLELISM": "false"}
    assert found.cure.rate.runs >= found.cure.needed > 5
    assert "while timeout" in (answer.folder / "reproducer.py").read_text()


def test_the_two_imports_that_it_takes_and_the_order_that_cures(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text(
        "import threading\nlock = threading.Lock()\nlock.acquire()\n"
    )
    (tmp_path / "second.py").write_text(
        "import sys\nif 'first' in sys.modules:\n    sys.modules['first'].lock.acquire()\n"
    )
    statement = "import json, first\nimport csv\nimport second"
    answer = diagnose(tmp_path, "--statement", statement, cache=cache)
    found = answer.found
    assert found.statements is not None
    assert found.statements.elements == ("import first", "import second")
    assert found.statements.whole
    assert found.cure is not None
    assert found.cure.remedy.kind is RemedyKind.ORDER
    assert (answer.folder / "reproducer.py").read_text().endswith("import first\nimport second\n")
    assert hangs_alone(answer.folder / "reproducer.py")


def test_a_hang_after_a_fork_is_cured_by_spawning(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.deadlock-matrix]\nstatement = 'import taken'\n\n"
        "[[tool.deadlock-matrix.context]]\nname = 'forked'\ncalling = 'fork'\n"
        "prelude = 'import holder'\n"
    )
    (tmp_path / "holder.py").write_text(
        "import threading\nlock = threading.Lock()\nlock.acquire()\n"
    )
    (tmp_path / "taken.py").write_text(
        "import sys\nif 'holder' in sys.modules:\n    sys.modules['holder'].lock.acquire()\n"
    )
    answer = diagnose(tmp_path, "taken", "--context", "forked", cache=cache)
    assert answer.found.cure is not None
    assert answer.found.cure.remedy.name == "spawn"
    assert hangs_alone(answer.folder / "reproducer.py")


TEAM = """
int work(void)
{
    int sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < 100000; i++)
        sum += i & 1;
    return sum;
}
"""


def test_a_team_of_threads_that_a_fork_did_not_copy(cache: Path, tmp_path: Path) -> None:
    """What torch does after a fork, without torch: one variable of four cures it."""
    compiler = shutil.which("cc")
    if compiler is None or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("no compiler, or one processor and hence one thread")
    (tmp_path / "team.c").write_text(TEAM)
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-fopenmp", "-o", "libteam.so", "team.c"],
        cwd=tmp_path, check=False, capture_output=True, timeout=300,
    )  # fmt: skip
    if built.returncode:
        pytest.skip("the compiler has no OpenMP")
    (tmp_path / "team.py").write_text(
        f"import ctypes\nwork = ctypes.CDLL({str(tmp_path / 'libteam.so')!r}).work\n"
    )
    statement = "import team\nteam.work()"
    answer = diagnose(
        tmp_path, "--statement", statement, "--context", "fork-again", cache=cache
    )  # fmt: skip
    found = answer.found
    assert found.outcome is Outcome.DEADLOCK
    assert any("libgomp" in path for path in found.involved)
    assert [cause.name for cause in found.causes] == ["libgomp-after-fork"]
    assert found.cure is not None
    assert found.cure.remedy.profile.set == {"OMP_NUM_THREADS": "1"}
    assert found.variables is not None
    assert found.variables.elements == ("OMP_NUM_THREADS",)
    assert found.cure.threads.after == Known(value=1, source="the probe, after its entry")
    effects = {trial.remedy.name: trial.effect for trial in found.trials}
    assert "mkl-sequential" not in effects  # there is no MKL in the process
    assert effects["spawn"] is Effect.CURES
    assert "export OMP_NUM_THREADS=1" in answer.text
    assert hangs_alone(answer.folder / "reproducer.py")
