"""Asking an interpreter what it is: a child of its own, bounded, ended with its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from deadlock_matrix.model.fact import Known, Unknown, known, unknown

# What the interpreter executes. It must be understood by any Python from 2.7 on, and import nothing
# but the standard library: -I and -S keep .pth files, sitecustomize and the user's modules out.
# Without ``site`` an interpreter before 3.14 does not know that it is in a virtual environment.
_SCRIPT = r"""
import json, os, sys
try:
    import sysconfig
except ImportError:
    sysconfig = None

def variable(name):
    return sysconfig.get_config_var(name) if sysconfig else None

def environment():
    here = os.path.dirname(os.path.abspath(sys.executable))
    for folder in (here, os.path.dirname(here)):
        path = os.path.join(folder, "pyvenv.cfg")
        if os.path.isfile(path):
            return folder, path
    return None, None

def site_packages(prefix):
    if sys.version_info < (3, 3):  # there, importing site would run it
        return [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    import site
    kept = sys.prefix, sys.exec_prefix
    sys.prefix = sys.exec_prefix = prefix  # Debian's site asks
    try:
        return site.getsitepackages([prefix])
    finally:
        sys.prefix, sys.exec_prefix = kept

def sees_base(path):
    with open(path) as file:
        for line in file:
            name, _, value = line.partition("=")
            if name.strip().lower() == "include-system-site-packages":
                return value.strip().lower() == "true"
    return False

info = sys.version_info
version = "%d.%d.%d" % info[:3]
if info[3] != "final":
    version += {"alpha": "a", "beta": "b"}.get(info[3], "rc") + str(info[4])
base = getattr(sys, "base_prefix", sys.prefix)
folder, config = environment()
folders = site_packages(folder or base)
base_visible = not folder or sees_base(config)
if folder and base_visible:
    folders += site_packages(base)
user = None
if base_visible and info >= (3, 3):
    import site
    user = site.getusersitepackages()
implementation = getattr(sys, "implementation", None)
answer = {
    "version": version,
    "implementation": implementation.name if implementation else
        ("pypy" if hasattr(sys, "pypy_version_info") else "cpython"),
    "described": " ".join(sys.version.split()),
    "bits": 64 if sys.maxsize > 2 ** 32 else 32,
    "free_threaded": bool(variable("Py_GIL_DISABLED")),
    "debug": bool(variable("Py_DEBUG")),
    "shared": bool(variable("Py_ENABLE_SHARED")),
    "multiarch": variable("MULTIARCH") or "",
    "executable": sys.executable or "",
    "prefix": folder or sys.prefix,
    "base_prefix": base,
    "environment": bool(folder),
    "site_packages": [path for path in folders if path],
    "user_site": user or "",
}
text = json.dumps(answer)
sys.stdout.write("\n" + text + "\n")
"""
_ISOLATED = ("-I", "-S")
_ISOLATED_BEFORE_3_4 = ("-E", "-s", "-S")
_KEPT_CHARACTERS = 300
_KILL_S = 5.0  # that the kernel has to end what was killed


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself.

    ``prefix`` is that of its virtual environment, ``base_prefix`` that of what it was made from.
    """

    version: str
    implementation: str
    described: str
    bits: int
    free_threaded: bool
    debug: bool
    shared: bool
    multiarch: str
    executable: str
    prefix: str
    base_prefix: str
    environment: bool
    site_packages: tuple[str, ...]
    user_site: str


class TimedOut(Unknown, frozen=True, kw_only=True, tag="unknown"):
    """It did not answer until the deadline."""


def ask(executable: str, deadline_s: float) -> Known[Answer] | Unknown:
    """Start ``executable``, let it say what it is, and end it.

    Args:
        executable: Path of a Python.
        deadline_s: Seconds after which it, and whatever it started, is killed.

    Returns:
        Its answer; unknown, with what it said instead or did. `TimedOut` if it said nothing.
    """
    end = time.monotonic() + deadline_s
    answer = _ask(executable, _ISOLATED, deadline_s)
    if isinstance(answer, Unknown) and "nknown option: -I" in answer.reason:
        answer = _ask(executable, _ISOLATED_BEFORE_3_4, max(end - time.monotonic(), 0.1))
    return answer


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would tell a Python to be another than it is."""
    dropped = ("PYTHON", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _ask(executable: str, options: Sequence[str], deadline_s: float) -> Known[Answer] | Unknown:
    command = [executable, *options, "-c", _SCRIPT]
    with tempfile.TemporaryDirectory(prefix="deadlock-matrix-") as empty:
        # Into files: nobody who holds a pipe open can make us wait.
        out, err = Path(empty, "out"), Path(empty, "err")
        here = Path(empty, "here")
        here.mkdir()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            try:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=clean_environment(),
                    cwd=here,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                return unknown(f"cannot be started: {error}")
            try:
                status = child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                _end(child)
                return TimedOut(reason=f"does not answer within {deadline_s:g} s")
            except BaseException:
                _end(child)
                raise
        said = out.read_text(encoding="utf-8", errors="replace")
        complained = err.read_text(encoding="utf-8", errors="replace")
    return _read(executable, status, said, complained)


def _read(executable: str, status: int, said: str, complained: str) -> Known[Answer] | Unknown:
    lines = said.strip().splitlines()
    try:
        answer = msgspec.convert(json.loads(lines[-1] if lines else ""), Answer)
    except (ValueError, msgspec.ValidationError):
        words = " ".join((complained or said).split()) or "it said nothing"
        words = words if len(words) <= _KEPT_CHARACTERS else "... " + words[-_KEPT_CHARACTERS:]
        return unknown(f"does not answer as a Python does, status {status}: {words}")
    return known(answer, f"{executable} -I -S")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, what it started and its session. It must not have been waited for yet."""
    try:
        family = psutil.Process(child.pid).children(recursive=True)
    except psutil.Error:
        family = []
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    child.kill()
    with suppress(subprocess.TimeoutExpired):  # then the kernel holds it, and ends it later
        child.wait(_KILL_S)
    end = time.monotonic() + _KILL_S
    while any(map(_is_alive, family)) and time.monotonic() < end:
        time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
