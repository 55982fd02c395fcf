"""What only running shows: import one module in a process of its own, and compute one product.

This is bounded, since the import may be the very one that hangs: then the answer is that it did not
end, and how far it got.
"""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os.path import realpath
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from deadlock_matrix.decoding import convert
from deadlock_matrix.interpreters.bounded import Ended, run_bounded, scratch_folder
from deadlock_matrix.interpreters.native.variables import THREAD_PREFIXES
from deadlock_matrix.interpreters.question import TimedOut, clean_environment
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Running, ThreadPool

DISTRIBUTIONS = {"numpy": "numpy", "mkl": "mkl-service", "torch": "torch"}
"""The modules that can be measured, and the distribution of each. The slowest comes last."""

SCRIPT = Path(__file__).with_name("running_script.py")

# Names of libraries of the kinds in `LibraryKind`; libtorch_cpu contains some of them.
_LIBRARIES = re.compile(
    r"(lib)?mkl_|(lib)?(\w*_)?openblas|lib(c|f77)?blas|liblapacke?\b|(lib)?(blis|flexiblas)\b"
    r"|lib[st]?atlas|libarmpl|libnvpl_(blas|lapack)|accelerate$|veclib$"
    r"|libgomp|libiomp5|libomp\b|libomp\d|vcomp\d|(lib)?tbb(?!malloc)"
    r"|(lib)?protobuf|libabsl_|abseil_dll|(lib)?torch_cpu\b",
    re.IGNORECASE,
)
_MAPPED = "/proc/self/maps"
_T = TypeVar("_T")


def run_modules(
    interpreter: Interpreter, modules: Sequence[str], deadline_s: float
) -> dict[str, Known[Running] | Unknown]:
    """Import each module in a process of its own, one after another, and see what it brings.

    Args:
        interpreter: The one that has them. Its own variables are set; those about threads
            (`THREAD_PREFIXES`) are not inherited from this process.
        modules: Keys of `DISTRIBUTIONS`, in the order in which they run.
        deadline_s: Seconds for all together. Each may take an equal share of what is left, so that
            one that hangs leaves some to those after it. Killing one may take seconds more.

    Returns:
        What each module showed; unknown, with the reason, if its import or product raised, ended
            the interpreter, or did not end (`TimedOut`). Whatever did not end after the product is
            unknown within its `Running`.
        ended the interpreter, or did not end (`TimedOut`). What did not end after the product is
        unknown within its `Running`.
    """
    end = time.monotonic() + deadline_s
    found: dict[str, Known[Running] | Unknown] = {}
    for place, module in enumerate(modules):
        share = (end - time.monotonic()) / (len(modules) - place)
        found[module] = _run(interpreter, module, max(share, 0.1))
    return found


def did_not_end(found: Known[Running] | Unknown) -> bool:
    """Return whether time was up before all was read, so that more time may tell more."""
    if isinstance(found, Unknown):
        return isinstance(found, TimedOut)
    running = found.value
    facts = (running.configuration, running.pools, running.mapped, running.described)
    return any(isinstance(fact, TimedOut) for fact in facts)


def _run(interpreter: Interpreter, module: str, limit_s: float) -> Known[Running] | Unknown:
    found = importlib.util.find_spec("threadpoolctl")
    table = found.origin if found is not None and found.origin else ""
    executable = str(Path(interpreter.executable).absolute())
    with tempfile.TemporaryDirectory(
        prefix="deadlock-matrix-", dir=scratch_folder(), ignore_cleanup_errors=True
    ) as folder:
        result = Path(folder, "result")
        result.touch()
        # -B: what is installed stays as it is.
        command = [executable, "-B", str(SCRIPT), module, str(result), table]
        try:
            ended = run_bounded(command, _environment(interpreter), limit_s)
        except (OSError, ValueError) as error:
            return unknown(f"{executable} cannot be started: {error}")
        text = result.read_text(encoding="utf-8", errors="replace")
    story = _read(text)
    if story.phase in ("table", "end"):
        source = f"import {module} and a product of matrices in {executable}"
        return known(_running(module, story, ended, limit_s), source)
    return _say_what_happened(module, story, ended, limit_s)


def _environment(interpreter: Interpreter) -> dict[str, str]:
    inherited = clean_environment()
    kept = {name: value for name, value in inherited.items() if not _is_about_threads(name)}
    return kept | interpreter.set


def _is_about_threads(name: str) -> bool:
    return name.startswith(THREAD_PREFIXES)


class _Story(msgspec.Struct, frozen=True, kw_only=True):
    """What the process wrote down; ``phase`` is the last that it began, empty if none."""

    phase: str
    failed: str
    facts: Mapping[str, Mapping[str, Any]]


def _read(text: str) -> _Story:
    phase, failed, facts = "", "", {}
    for line in text.splitlines():
        with suppress(ValueError):  # the last may have been cut off
            entry = json.loads(line)
            phase = entry.get("phase", phase)
            failed = entry.get("failed", failed)
            if "fact" in entry:
                facts[entry["fact"]] = entry
    return _Story(phase=phase, failed=failed, facts=facts)


def _say_what_happened(module: str, story: _Story, ended: Ended, limit_s: float) -> Unknown:
    act = f"import {module}"
    if story.phase == "product":
        version = f"{module} {_value(story, 'version', '')}".strip()
        seconds = _value(story, "seconds", 0.0)
        act = f"{version} was imported in {seconds:.3g} s, but a product of two matrices with it"
    if not ended.in_time:
        if not story.phase:
            return TimedOut(reason=f"the interpreter did not start within {limit_s:.3g} s")
        return TimedOut(reason=f"{act} did not end within {limit_s:.3g} s")
    if story.failed:
        return unknown(f"{act} raised {story.failed}")
    how = _how_it_ended(ended)
    if not story.phase:
        return unknown(f"the interpreter ended {how} before it could {act}: {ended.words}")
    return unknown(f"{act} ended the interpreter {how}: {ended.words}")


def _how_it_ended(ended: Ended) -> str:
    if ended.status >= 0:
        return f"with status {ended.status}"
    try:
        return f"by {signal.Signals(-ended.status).name}"
    except ValueError:
        return f"by signal {-ended.status}"


def _running(module: str, story: _Story, ended: Ended, limit_s: float) -> Running:
    missing: Unknown
    if ended.in_time:
        missing = unknown(f"the interpreter ended {_how_it_ended(ended)} before: {ended.words}")
    else:
        missing = TimedOut(reason=f"reading it did not end within {limit_s:.3g} s")
    pools = _fact(story, "pools", tuple[ThreadPool, ...], "threadpoolctl", missing)
    mapped = _fact(story, "mapped", tuple[str, ...], _MAPPED, missing)
    return Running(
        module=module,
        version=_value(story, "version", ""),
        configuration=_fact(story, "configuration", str, f"{module} of itself", missing),
        pools=pools,
        mapped=_choose(mapped, pools),
        described=_fact(story, "mkl", str, f"{_MAPPED}, MKL_Get_Version_String", missing),
        seconds=_value(story, "seconds", 0.0),
    )


def _choose(
    mapped: Known[tuple[str, ...]] | Unknown, pools: Known[tuple[ThreadPool, ...]] | Unknown
) -> Known[tuple[str, ...]] | Unknown:
    """Return those that matter; if the system does not show what is mapped, those of the table."""
    if isinstance(mapped, Known):
        kept = {realpath(path) for path in mapped.value if is_of_a_kind(path)}
        return known(tuple(sorted(kept)), mapped.source)
    if isinstance(pools, Known):
        return known(tuple(sorted({pool.path for pool in pools.value})), pools.source)
    return mapped


def is_of_a_kind(path: str) -> bool:
    """Return whether a library's name is of a kind in `LibraryKind`, or of one containing such."""
    return bool(_LIBRARIES.match(Path(path).name))


def _fact(
    story: _Story, name: str, kind: type[_T], source: str, missing: Unknown
) -> Known[_T] | Unknown:
    entry = story.facts.get(name)
    if entry is None:
        return missing
    if "reason" in entry:
        return unknown(str(entry["reason"]))
    try:
        return known(convert(entry.get("value"), kind), source)
    except msgspec.ValidationError as error:
        return unknown(f"{name} is not what was expected: {error}")


def _value(story: _Story, name: str, default: _T) -> _T:
    value = story.facts.get(name, {}).get("value", default)
    return value if isinstance(value, type(default)) else default
