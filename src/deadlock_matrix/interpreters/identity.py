"""What one interpreter is: asked once, bounded, remembered while its files stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from deadlock_matrix.decoding import convert
from deadlock_matrix.interpreters.fingerprint import take_fingerprint
from deadlock_matrix.interpreters.native.running import DISTRIBUTIONS, run_modules
from deadlock_matrix.interpreters.native.texts import find_text
from deadlock_matrix.interpreters.question import TimedOut, ask
from deadlock_matrix.interpreters.remembered import (
    Memory,
    add_running,
    first_memory,
    is_remembered,
    recall,
    remember,
    silence,
    stamps_of,
)
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts, Running

DEADLINE_S = 10.0
MESSAGE = b"Lock blocking "
"""The part of Abseil's message about a lock that whatever can print it contains in one piece."""

RUNNING_DEADLINE_S = 120.0


def identify(
    interpreter: Interpreter,
    cache: Path | None = None,
    deadline_s: float = DEADLINE_S,
    running_deadline_s: float = RUNNING_DEADLINE_S,
    *,
    measure: bool = False,
) -> InterpreterFacts:
    """Find out what an interpreter is. Asking imports nothing that is installed in it.

    Args:
        interpreter: Its executable is started, bounded, unless it is remembered.
        cache: The folder in which to remember it; ``None``: ask, and remember nothing.
        deadline_s: Seconds that it has to answer.
        running_deadline_s: Seconds for all modules that are imported in it.
        measure: Also import the installed modules of `native.running.DISTRIBUTIONS`, each in a
            process of its own, to see what only running shows. Otherwise return what an earlier
            time showed, and run nothing.
    """
    if interpreter.unavailable:
        return _facts(interpreter, Unknown(reason=interpreter.unavailable))
    memory = recall(interpreter, cache, deadline_s) if cache else None
    if memory is None:
        memory, cache = _ask(interpreter, cache, deadline_s)
    found = memory.fingerprint
    if measure and isinstance(found, Known):
        measured = _measure(interpreter, memory, found.value, cache, running_deadline_s)
        found = known(measured, found.source)
    return _facts(interpreter, found)


def _ask(
    interpreter: Interpreter, cache: Path | None, deadline_s: float
) -> tuple[Memory, Path | None]:
    """Return what it says and what its files show; and where to keep that, if it may be kept."""
    executable = str(Path(interpreter.executable).absolute())
    if missing := _what_is_missing(executable):
        return Memory(stamps=(), fingerprint=Unknown(reason=missing)), None
    answer = ask(executable, deadline_s, interpreter.set)
    if isinstance(answer, TimedOut):
        memory = silence(interpreter, Unknown(reason=answer.reason), deadline_s)
    elif isinstance(answer, Unknown):  # what it lacks may be outside its own files
        return Memory(stamps=(), fingerprint=answer), None
    else:
        # Before they are read: an installation meanwhile changes them afterwards.
        stamps = stamps_of(interpreter, answer.value)
        source = f"{answer.source}, and files in its site-packages"
        fingerprint = known(take_fingerprint(interpreter, answer.value), source)
        memory = first_memory(stamps or (), fingerprint)
        if stamps is None:
            return memory, None
    if cache:
        remember(interpreter, cache, memory)
    return memory, cache


def _measure(
    interpreter: Interpreter,
    memory: Memory,
    fingerprint: Fingerprint,
    cache: Path | None,
    deadline_s: float,
) -> Fingerprint:
    """Return the fingerprint with what running shows, running only what is not remembered."""
    missing = [
        module
        for module, distribution in DISTRIBUTIONS.items()
        if distribution in fingerprint.packages and not is_remembered(memory, module, deadline_s)
    ]
    if not missing:
        return fingerprint
    found = run_modules(interpreter, missing, deadline_s)
    # `TimedOut` says what to remember; for everybody else it is unknown, now and later.
    running = convert(
        msgspec.to_builtins(fingerprint.running | found), dict[str, Known[Running] | Unknown]
    )
    printers = find_text(_library_files(fingerprint, running), MESSAGE)
    fingerprint = msgspec.structs.replace(fingerprint, running=running, printers=printers)
    memory = add_running(memory, found, deadline_s)
    if isinstance(memory.fingerprint, Known):
        kept = msgspec.structs.replace(memory.fingerprint.value, printers=printers)
        kept_fact = known(kept, memory.fingerprint.source)
        memory = msgspec.structs.replace(memory, fingerprint=kept_fact)
    if cache:  # after an installation meanwhile, what was stamped before is no longer true
        remember(interpreter, cache, memory)
    return fingerprint


def _library_files(
    fingerprint: Fingerprint, running: dict[str, Known[Running] | Unknown]
) -> set[str]:
    """Return the files to search for the printer of a line: those read, and those seen mapped."""
    libraries = fingerprint.libraries
    files = {each.path for each in libraries.value} if isinstance(libraries, Known) else set()
    for fact in running.values():
        if isinstance(fact, Known) and isinstance(fact.value.mapped, Known):
            files.update(fact.value.mapped.value)
    return files


def _facts(interpreter: Interpreter, found: Known[Fingerprint] | Unknown) -> InterpreterFacts:
    if isinstance(found, Known):  # it may be remembered from under another name
        named = msgspec.structs.replace(
            found.value, name=interpreter.name, executable=interpreter.executable
        )
        found = known(named, found.source)
    return InterpreterFacts(
        name=interpreter.name,
        executable=interpreter.executable,
        fingerprint=found,
        set=interpreter.set,
    )


def _what_is_missing(executable: str) -> str:
    path = Path(executable)
    if path.is_file():
        return "" if os.access(path, os.X_OK) else f"{path} is not executable"
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {os.path.realpath(path)}, which does not exist"
    return f"{path} is a folder" if path.is_dir() else f"{path} does not exist"
