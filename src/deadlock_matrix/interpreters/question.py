"""Ask an interpreter what it is: a separate child, bounded, ended with its children."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence

import msgspec

from deadlock_matrix.decoding import convert
from deadlock_matrix.interpreters.bounded import Ended, run_bounded
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

# What the interpreter executes. Any Python from 2.7 on must understand it, and it may import only
# the standard library: -I and -S keep .pth files, sitecustomize and the user's modules out. Without
# ``site`` an interpreter before 3.14 does not know that it is in a virtual environment.
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


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says about itself.

    ``prefix`` is that of its virtual environment, ``base_prefix`` that of what it was made from.
    """

    version: str
    implementation: str
    described: str
    bits: int
    free_threaded: bool
    debug: bool
    shared: bool
    executable: str
    prefix: str
    base_prefix: str
    environment: bool
    site_packages: tuple[str, ...]
    user_site: str


class TimedOut(Unknown, frozen=True, kw_only=True, tag="unknown"):
    """It did not answer before the deadline."""


def ask(
    executable: str, deadline_s: float, variables: Mapping[str, str] | None = None
) -> Known[Answer] | Unknown:
    """Start ``executable``, let it say what it is, and end it.

    Args:
        executable: Path of a Python.
        deadline_s: Seconds after which it is killed. Whatever it started is always killed with it.
        variables: Variables to set for it, besides those of `clean_environment`.

    Returns:
        Its answer; unknown, with what it said or did instead. `TimedOut` if it said nothing.
    """
    end = time.monotonic() + deadline_s
    environment = clean_environment() | dict(variables or {})
    answer = _ask(executable, _ISOLATED, environment, deadline_s)
    if isinstance(answer, Unknown) and "nknown option: -I" in answer.reason:
        left = max(end - time.monotonic(), 0.1)
        answer = _ask(executable, _ISOLATED_BEFORE_3_4, environment, left)
    return answer


def clean_environment() -> dict[str, str]:
    """Return the caller's environment without what would make a Python appear as another."""
    dropped = ("PYTHON", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _ask(
    executable: str, options: Sequence[str], environment: Mapping[str, str], deadline_s: float
) -> Known[Answer] | Unknown:
    try:
        ended = run_bounded([executable, *options, "-c", _SCRIPT], environment, deadline_s)
    except (OSError, ValueError) as error:
        return unknown(f"cannot be started: {error}")
    if not ended.in_time:
        return TimedOut(reason=f"does not answer within {deadline_s:.3g} s")
    return _read(executable, ended)


def _read(executable: str, ended: Ended) -> Known[Answer] | Unknown:
    lines = ended.said.strip().splitlines()
    try:
        answer = convert(json.loads(lines[-1] if lines else ""), Answer)
    except (ValueError, msgspec.ValidationError):
        return unknown(
            f"does not answer like a Python; it ended with status {ended.status}: {ended.words}"
        )
    return known(answer, f"{executable} -I -S")
