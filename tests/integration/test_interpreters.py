"""Real interpreters, and things that only look like one, asked what they are."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint, Running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="wrappers are shell scripts")


def interpreter(path: Path | str) -> Interpreter:
    return Interpreter(name="asked", executable=str(path))


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fingerprint(path: Path | str, cache: Path | None = None) -> Fingerprint:
    found = identify(interpreter(path), cache, 60.0)
    assert isinstance(found.fingerprint, Known), found.fingerprint
    return found.fingerprint.value


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_one_that_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    found = fingerprint(sys.executable)
    assert found.version == platform.python_version().rstrip("+")
    assert found.implementation == sys.implementation.name
    assert found.packages["msgspec"]
    assert "64 bit" in found.build or "32 bit" in found.build


def test_a_virtual_environment_runs_nothing_of_what_is_installed(tmp_path: Path) -> None:
    folder = tmp_path / "an env ü"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300
    )
    (site,) = folder.glob("lib/python*/site-packages")
    info = site / "lonely-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lonely\nVersion: 1.5\n")
    trace = tmp_path / "executed"
    spy = f"open({str(trace)!r}, 'w').close()"
    (site / "sitecustomize.py").write_text(spy)
    (site / "lonely.py").write_text(spy)
    (site / "lonely.pth").write_text("import lonely\n")
    found = fingerprint(folder / "bin" / "python", tmp_path / "cache")
    assert found.packages == {"lonely": "1.5"}
    assert found.distribution.startswith("venv of ")
    assert not trace.exists()


def test_an_installed_package_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300
    )
    python, cache = folder / "bin" / "python", tmp_path / "cache"
    assert fingerprint(python, cache).packages == {}
    assert fingerprint(python, cache).packages == {}  # remembered
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "new-1.dist-info").mkdir()
    (site / "new-1.dist-info" / "METADATA").write_text("Name: new\nVersion: 1\n")
    assert fingerprint(python, cache).packages == {"new": "1"}


def test_a_wrapper_is_asked_every_time(tmp_path: Path) -> None:
    wrapper = script(tmp_path / "python", f'echo called >> calls; exec "{sys.executable}" "$@"')
    wrapper.write_text(wrapper.read_text().replace("calls", f'"{tmp_path}/calls"'))
    for count in (1, 2):
        assert fingerprint(wrapper, tmp_path / "cache").packages["msgspec"]
        assert (tmp_path / "calls").read_text().count("called") == count


def test_one_that_says_something_else(tmp_path: Path) -> None:
    broken = script(tmp_path / "python", "echo no such library >&2; exit 127")
    found = identify(interpreter(broken), tmp_path / "cache", 30.0).fingerprint
    assert isinstance(found, Unknown)
    assert "status 127" in found.reason
    assert "no such library" in found.reason


def test_one_that_cannot_be_executed(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_bytes(b"\x7fELF no")
    path.chmod(0o755)
    found = identify(interpreter(path), None, 30.0).fingerprint
    assert isinstance(found, Unknown)
    assert "cannot be started" in found.reason


def test_one_that_hangs_costs_its_deadline_once_and_leaves_nothing(tmp_path: Path) -> None:
    hanging = script(
        tmp_path / "python",
        f'trap "" TERM INT HUP; sleep 600 & echo $! > "{tmp_path}/child"; wait; sleep 600',
    )
    cache = tmp_path / "cache"
    begin = time.monotonic()
    found = identify(interpreter(hanging), cache, 2.0).fingerprint
    assert time.monotonic() - begin < 20
    assert found == Unknown(reason="does not answer within 2 s")
    child = int((tmp_path / "child").read_text())
    assert not is_alive(child)

    begin = time.monotonic()
    assert identify(interpreter(hanging), cache, 2.0).fingerprint == found
    assert time.monotonic() - begin < 1


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return Measured(tmp_path)


class Measured:
    """An environment whose numpy counts how often it is imported."""

    def __init__(self, folder: Path) -> None:
        environment = folder / "env"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(environment)],
            check=True,
            timeout=300,
        )
        (site,) = environment.glob("lib/python*/site-packages")
        info = site / "numpy-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n")
        self.python = environment / "bin" / "python"
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self.calls.touch()
        self.file = site / "numpy" / "__init__.py"
        self.file.parent.mkdir()

    def write(self, text: str) -> None:
        self.file.write_text(f"open({str(self.calls)!r}, 'a').write('x')\n{text}\n")

    def count(self) -> int:
        return len(self.calls.read_text())

    def identify(
        self, measure: bool = True, running_s: float = 60.0, **variables: str
    ) -> dict[str, Known[Running] | Unknown]:
        asked = Interpreter(name="asked", executable=str(self.python), set=variables)
        found = identify(asked, self.cache, 60.0, running_s, measure=measure)
        assert found.set == variables
        assert isinstance(found.fingerprint, Known), found.fingerprint
        return found.fingerprint.value.running


GOOD = """
class Matrix:
    def __matmul__(self, other): return self
    def __getitem__(self, place): return 512
def ones(shape): return Matrix()
def show_config(mode): return {}
"""


def test_what_is_installed_is_run_only_when_asked_and_once(measured: Measured) -> None:
    measured.write(GOOD)
    assert measured.identify(measure=False) == {}
    assert measured.count() == 0
    shown = measured.identify()
    assert list(shown) == ["numpy"]
    assert isinstance(shown["numpy"], Known)
    assert measured.identify() == measured.identify(measure=False) == shown
    assert measured.count() == 1

    assert measured.identify(MKL_THREADING_LAYER="GNU").keys() == {"numpy"}  # another one
    assert measured.count() == 2

    measured.write(GOOD + "# edited\n")
    assert measured.identify(measure=False) == {}
    assert isinstance(measured.identify()["numpy"], Known)
    assert measured.count() == 3


def test_an_import_that_hangs_costs_its_deadline_once(measured: Measured) -> None:
    measured.write("import threading; threading.Event().wait()")
    found = measured.identify(running_s=3.0)["numpy"]
    assert found == Unknown(reason="import numpy did not end within 3 s")
    begin = time.monotonic()
    again = measured.identify(running_s=3.0)["numpy"]
    assert time.monotonic() - begin < 2
    assert again == Unknown(reason="import numpy did not end within 3 s")
    assert measured.count() == 1

    longer = measured.identify(running_s=3.5)["numpy"]
    assert longer == Unknown(reason="import numpy did not end within 3.5 s")
    assert measured.count() == 2

    measured.write(GOOD)
    assert isinstance(measured.identify(running_s=60.0)["numpy"], Known)


def test_an_import_that_fails_is_tried_again(measured: Measured) -> None:
    measured.write("import sys; sys.exit(1)")
    for count in (1, 2):
        assert isinstance(measured.identify()["numpy"], Unknown)
        assert measured.count() == count


def test_what_is_installed_while_it_is_measured_is_not_lost(measured: Measured) -> None:
    new = measured.file.parents[1] / "new-1.dist-info"
    measured.write(f"import os; os.makedirs({str(new)!r}, exist_ok=True){GOOD}")
    assert isinstance(measured.identify()["numpy"], Known)
    assert measured.identify(measure=False) == {}
    assert isinstance(measured.identify()["numpy"], Known)
    assert measured.count() == 2


def test_its_own_variables_are_set_when_it_is_asked(tmp_path: Path) -> None:
    wrapper = script(
        tmp_path / "python", f'[ "$NEEDED" = yes ] || exit 9; exec "{sys.executable}" "$@"'
    )
    asked = Interpreter(name="asked", executable=str(wrapper), set={"NEEDED": "yes"})
    assert isinstance(identify(asked, None, 60.0).fingerprint, Known)
    without = identify(interpreter(wrapper), None, 60.0).fingerprint
    assert isinstance(without, Unknown)
    assert "status 9" in without.reason
