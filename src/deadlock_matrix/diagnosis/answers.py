"""Plain answers where nothing hangs: what happened instead, and what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from deadlock_matrix.diagnosis.endings import Ending, ending, exited_cleanly, observation_of
from deadlock_matrix.diagnosis.statements import top_level
from deadlock_matrix.model.diagnosis import Outcome, Target
from deadlock_matrix.model.observation import CellResult, Observation, Raised
from deadlock_matrix.model.verdict import Verdict

_MISSING = re.compile(r"No module named '([^']+)'")
_USAGE = re.compile(r"^usage: ", re.IGNORECASE | re.MULTILINE)


def outcome_of(result: CellResult) -> Outcome:
    """What the run that decides comes to."""
    match ending(result):
        case Ending.HUNG:
            return Outcome.DEADLOCK if result.verdict is Verdict.DEADLOCK else Outcome.HANG
        case Ending.CLEAN:
            return Outcome.CLEAN
        case Ending.MOVING:
            return Outcome.SLOW
        case Ending.FAILED:
            return Outcome.FAILED
        case Ending.NONE:
            return Outcome.UNAVAILABLE


def answer(
    result: CellResult, target: Target, packages: Collection[str], nearby: str = ""
) -> tuple[str, ...]:
    """A sentence about a run that does not hang, and then advice.

    Args:
        result: The run.
        target: What was run.
        packages: The distributions that the interpreter has, to find a near name.
        nearby: A folder that the module was seen in, where it is not looked for.
    """
    return tuple(_answer(result, target, packages, nearby))


def hung_advice(result: CellResult) -> tuple[str, ...]:
    """What to say of a hang besides why: without a proof, it may only be slow."""
    if result.verdict is not Verdict.HANG:
        return ()
    return (
        "Nothing proves that it will never go on: it may poll for something that never comes, or "
        "take long in one place. --deadline SECONDS gives it more time, to tell the two apart.",
    )


def _answer(
    result: CellResult, target: Target, packages: Collection[str], nearby: str
) -> Iterator[str]:
    seen = observation_of(result)
    if seen is None:
        yield f"It could not be run: {result.why}."
        return
    match ending(result):
        case Ending.MOVING:
            yield f"It does not hang as far as was seen: it is {result.why}."
            yield (
                "It takes longer than it was given; give it more time with --deadline SECONDS, "
                "and the answer will be whether it ends."
            )
        case Ending.CLEAN if exited_cleanly(result):
            yield "It does not hang: it ended the interpreter by itself, with sys.exit()."
        case Ending.FAILED:
            yield from _failed(result, seen, target, packages, nearby)


def _failed(
    result: CellResult,
    seen: Observation,
    target: Target,
    packages: Collection[str],
    nearby: str,
) -> Iterator[str]:
    raised = seen.raised
    if raised is None:
        how = "it crashes, " if result.verdict is Verdict.CRASH else "it "
        yield f"It does not hang: {how}{result.why}."
        return
    if raised.type == "SystemExit":
        yield from _exited(raised, seen, target)
        return
    yield f"It does not hang: it fails with {raised.type}: {_first_line(raised.message)}."
    if raised.type in ("ModuleNotFoundError", "ImportError"):
        yield from _not_found(raised, target, packages, nearby)
    elif raised.type == "SyntaxError" or raised.type in ("IndentationError", "TabError"):
        version = "another version of Python may read it: --python names an interpreter"
        yield f"The file has to be corrected first; {version}."
    elif raised.type == "EOFError":
        yield (
            "It asks for input, and its standard input is empty here. --context stdin-silent-pipe "
            "shows what it does where nobody answers."
        )


def _exited(raised: Raised, seen: Observation, target: Target) -> Iterator[str]:
    status = _first_line(raised.message)
    yield f"It does not hang: it ended the interpreter by itself, with sys.exit({status})."
    if _USAGE.search(seen.stderr.kept) or _USAGE.search(seen.stdout.kept):
        how = (
            f"deadlock-matrix diagnose --script {target.script} -- ARGUMENTS"
            if target.script
            else "--statement 'import sys; sys.argv[1:] = [...]; import "
            f"{target.name}', or --script FILE ARGUMENTS"
        )
        yield f"It printed how it is used, so it wants arguments; give them with {how}."


def _not_found(
    raised: Raised, target: Target, packages: Collection[str], nearby: str
) -> Iterator[str]:
    if "relative import" in raised.message:
        yield (
            "A file that imports from its own package by a relative path has to be imported as a "
            "part of it: give the module's whole name, as in 'diagnose package.module', and with "
            "--path the folder that the package lies in."
        )
        return
    missing = _MISSING.search(raised.message)
    if missing is None:
        return
    name = missing[1]
    whose = f"{target.interpreter.executable} does not find {name}"
    if name.partition(".")[0] == top_level(target.entry.statement):
        if nearby:
            yield f"{whose}, but it lies in {nearby}: --path {nearby} looks for it there."
            return
        near = difflib.get_close_matches(name, sorted(packages), n=1)
        guess = f" It has {near[0]}." if near else ""
        yield (
            f"{whose}; --python names the interpreter it is installed in, --path FOLDER the folder "
            f"it lies in.{guess}"
        )
    else:
        yield f"{whose}, which it needs; install it there, or name another interpreter: --python."


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
