"""The wheel, installed into a fresh environment: its doors work, and its metadata say all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from deadlock_matrix.matrix.controls import NEGATIVE, POSITIVE

ROOT = Path(__file__).parents[2]
STUCK = "import threading; lock = threading.Lock(); lock.acquire(); print('in', flush=True); "
DEADLOCK = f"import signal; signal.signal(2, signal.SIG_DFL)\n{STUCK}lock.acquire()"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="deadlocks are proved on Linux"),
    pytest.mark.timeout(900),
]


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, env=clean, capture_output=True, text=True, timeout=400, check=False, **more
    )  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip")
    ready = run(*pip, "download", "-q", "--no-deps", "-d", folder / "backend", "hatchling")
    if ready.returncode:
        pytest.skip(f"pip gets no build backend here: {ready.stderr.strip()[-200:]}")
    made = run(*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    assert made.returncode == 0, made.stderr
    (found,) = folder.glob("deadlock_matrix-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that has the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    made = run(folder / "bin" / "python", "-m", "pip", "install", "-q", wheel)
    assert made.returncode == 0, made.stderr
    return folder / "bin"


@pytest.fixture
def stuck(installed: Path) -> Iterator[int]:
    command = (installed / "python", "-c", DEADLOCK)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process.pid
        process.kill()


def test_licences_of_what_it_carries_are_in_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(metadata).decode())
    assert told["License-Expression"] == "MIT AND Apache-2.0 AND EPL-1.0"
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert {"LICENSE", "expat.LICENSE", "graphviz.LICENSE", "graphviz-epl-1.0.LICENSE"} <= licences
    assert not [name for name in names if "/tests/" in name or "__pycache__" in name]


def test_it_has_what_the_commands_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for needed in ("py.typed", "probe/probe.py", "suite/test_imports.py", "repro/splitlearn_core"):
        assert any(name.startswith(f"deadlock_matrix/{needed}") for name in names), needed
    inside = "deadlock_matrix/repro/scenarios/"
    scenarios = {name[len(inside) :].split("/")[0] for name in names if name.startswith(inside)}
    assert scenarios == {POSITIVE, *NEGATIVE}


def test_neither_numpy_nor_a_test_runner_comes_with_it(installed: Path) -> None:
    listed = run(installed / "python", "-m", "pip", "list", "--format=json")
    names = {each["name"].lower() for each in json.loads(listed.stdout)}
    assert "deadlock-matrix" in names
    assert not names & {"numpy", "scipy", "pytest", "pytest-xdist", "distributed"}


def test_help(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "deadlock-matrix", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "inspect" in done.stdout and "watch" in done.stdout


def test_watch_proves_a_deadlock(installed: Path, tmp_path: Path) -> None:
    command = (installed / "deadlock-matrix", "watch", "--timeout", "60", "--")
    done = run(*command, installed / "python", "-c", DEADLOCK, cwd=tmp_path)
    assert done.returncode == 35, done.stderr
    assert done.stderr.startswith("deadlock: ")


def test_inspect_proves_it_too(installed: Path, stuck: int, tmp_path: Path) -> None:
    done = run(installed / "deadlock-matrix", "inspect", "--json", str(stuck), cwd=tmp_path)
    assert done.returncode == 35, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "deadlock"


def test_a_missing_extra_is_one_sentence_with_the_command(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "deadlock-matrix", "run", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.endswith("pip install 'deadlock-matrix[matrix]'\n")
    assert "Traceback" not in done.stderr
