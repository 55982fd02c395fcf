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

from deadlock_matrix.matrix.interpreters import identify
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.report import Fingerprint

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
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120
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
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120
    )
    python, cache = folder / "bin" / "python", tmp_path / "cache"
    assert fingerprint(python, cache).packages == {}
    begin = time.monotonic()
    assert fingerprint(python, cache).packages == {}
    assert time.monotonic() - begin < 0.5  # remembered
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
