"""Plain answers if nothing hangs: what happened instead, and what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from deadlock_matrix.diagnosis.endings import Ending, ending, exited_cleanly
from deadlock_matrix.diagnosis.investigation.clues import Wait, looks_up_a_name
from deadlock_matrix.diagnosis.involved import listens_at, servers
from deadlock_matrix.diagnosis.text import listed, seconds, short_name
from deadlock_matrix.model.diagnosis import ImportTime, Outcome, Stuck, Target, Times
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation, Raised
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.model.verdict import TITLES, Verdict

_MISSING = re.compile(r"No module named '([^']+)'")
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+).*(?:\n    (\S.*))?$', re.MULTILINE)
MOST_MESSAGE = 200
MOST_NAMED = 3
MOSTLY = 0.5
NEARLY_ALL = 0.8
_USAGE = re.compile(r"^usage: ", re.IGNORECASE | re.MULTILINE)


def outcome_of(result: CellResult) -> Outcome:
    """Return the outcome of the run that decides."""
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
    """Return a sentence about a run that does not hang, and then advice.

    Args:
        result: The run.
        target: What was run.
        packages: The interpreter's distributions, to find a similar name.
        nearby: A folder where the module was seen, but is not looked for.
    """
    return tuple(_answer(result, target, packages, nearby))


def hung_advice(result: CellResult, waits: Collection[Wait]) -> tuple[str, ...]:
    """Return what to say about a hang besides why: without a proof, it may only be slow."""
    if result.verdict is not Verdict.HANG:
        return ()
    judgement = result.judgement
    if judgement is not None and judgement.outcome == "likely":
        return (
            "This is likely, not proved: whether the assumptions hold cannot be seen from outside. "
            "It made no progress until the deadline.",
        )
    served = sorted(listens_at(result.evidence))
    if served and not servers(result.evidence):
        return (
            f"It is a server, which waits for connections at {listed(served)}: it is started while "
            "the module is imported, and the import ends only when the server does.",
        )
    if looks_up_a_name(result):
        return (
            "It asks a name server for an address, and gets no answer: it does not hang where name "
            "servers answer.",
        )
    if Wait.NETWORK in waits:
        return (
            "It continues when the other end answers or closes the connection, so it does not hang "
            "where that end does.",
        )
    gaps = result.why.partition(", and no proof: ")[2]
    return (
        "It is not proved that it never continues: it may wait for something that never comes, or "
        "it may just be slow. --deadline SECONDS gives it more time, to tell the two apart.",
        *([f"What stands in the way of a proof: {gaps}."] if gaps else []),
    )


def hung_sentence(result: CellResult, stuck: Sequence[Stuck]) -> str:
    """Return what hangs, and where: the proof's own sentence, or else what was seen of the thread.

    Args:
        result: A run that hung.
        stuck: The threads that are stuck, the first one first.
    """
    judgement = result.judgement
    if result.verdict is not Verdict.HANG:
        return result.why
    if judgement is not None and judgement.proof is not None:
        title = TITLES[judgement.outcome]
        return f"{title[:1].upper()}{title[1:]}: {judgement.proof.sentence}"
    seen = result.seen
    if not stuck or not stuck[0].lines or seen is None:
        return result.why
    first, line = stuck[0], stuck[0].lines[-1]
    text = f" (`{line.text}`)" if line.text else ""
    last = seen.last_progress_s
    still = ""
    # Only of the main thread of the process that was started is it known since when.
    if re.fullmatch(r"main thread( \d+)?", first.thread) and isinstance(last, Known):
        still = f" for {seconds(seen.duration_s - last.value)}"
    return (
        f"{first.thread[:1].upper()}{first.thread[1:]} {first.does}, at {short_name(line.file)}:"
        f"{line.line}{text}: it has made no progress{still}."
    )


def failed_ways(failed: Mapping[str, CellResult]) -> Iterator[str]:
    """Yield what to say about ways of calling in which it fails, although it does not as it is.

    Args:
        failed: A run of each, by the name of the way.
    """
    for way, result in failed.items():
        summary = result.cell.context.summary
        how = f" ({summary})" if summary else ""
        yield f"But called from {way}{how}, it fails without hanging: {result.why}."


def slow_answer(times: Times, *, once: bool) -> tuple[str, ...]:
    """Return what to say about an entry that ends, but takes long.

    Args:
        times: Where its time went.
        once: Whether it was run only once, since it takes long.
    """
    said = [f"It does not hang; it is slow: it takes {seconds(times.seconds)}."]
    if times.lines and times.lines[0].seconds >= max(MOSTLY * times.seconds, times.coarse_s):
        most = times.lines[0]
        where = f"{most.line.file}:{most.line.line}"
        said[0] += f" Most of that, {seconds(most.seconds)}, it {most.doing}, at {where}."
    elif heavy := _heavy(times):
        told = [f"{each.module} {seconds(each.total_s)}" for each in heavy]
        said[0] += f" No single line takes most of that; with all that they import, {listed(told)}."
    if once:
        said.append(
            "It was run only once, from the main thread, since a run takes long; --repeat N also "
            "calls it in other ways, several times, to look for a hang."
        )
    return tuple(said)


def _heavy(times: Times) -> Sequence[ImportTime]:
    """Return the modules that share the time: from the top, where none has nearly all of it."""
    nodes: Sequence[ImportTime] = times.modules
    while nodes and nodes[0].children and nodes[0].total_s >= NEARLY_ALL * _total(nodes):
        nodes = nodes[0].children
    return [each for each in nodes if each.total_s >= times.coarse_s][:MOST_NAMED]


def _total(nodes: Sequence[ImportTime]) -> float:
    return sum(each.total_s for each in nodes)


def _answer(
    result: CellResult, target: Target, packages: Collection[str], nearby: str
) -> Iterator[str]:
    seen = result.seen
    if seen is None:
        yield f"It could not be run: {result.why}."
        return
    match ending(result):
        case Ending.MOVING:
            yield f"No hang was seen: it is {result.why}."
            yield (
                "It needs more time than it was given. Give it more with --deadline SECONDS, to "
                "see whether it ends."
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
    message = _first_line(raised.message)
    end = "" if message.endswith((".", "...")) else "."
    yield f"It does not hang: it fails with {raised.type}: {message}{end}"
    if where := _raised_at(raised, target):
        yield where
    if raised.type in ("ModuleNotFoundError", "ImportError"):
        yield from _not_found(raised, target, packages, nearby)
    elif raised.type == "SyntaxError" or raised.type in ("IndentationError", "TabError"):
        version = "or, if another version of Python can read it, name that with --python"
        yield f"Correct the file first; {version}."
    elif raised.type == "EOFError":
        yield (
            "It asks for input, and its standard input is empty here. --context stdin-silent-pipe "
            "shows what it does when nobody answers."
        )


def _raised_at(raised: Raised, target: Target) -> str:
    """Return the innermost line of the requested package or script; empty if none is known."""
    own = imported_package(target.entry.statement)
    found = ""
    for file, line, text in _FRAME.findall(raised.traceback):
        parts = file.replace("\\", "/").split("/")
        if file == target.script or (own and (own in parts or parts[-1] == f"{own}.py")):
            found = f"It is raised in {file}:{line}" + (f": {text.strip()}" if text else "")
    return found


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
        yield f"It printed a usage message, so it needs arguments; give them with {how}."


def _not_found(
    raised: Raised, target: Target, packages: Collection[str], nearby: str
) -> Iterator[str]:
    if "relative import" in raised.message:
        yield (
            "A file that uses relative imports has to be imported as a part of its package: give "
            "the module's whole name, as in 'diagnose package.module', and with "
            "--path the folder that the package lies in."
        )
        return
    missing = _MISSING.search(raised.message)
    if missing is None:
        return
    name = missing[1]
    whose = f"{target.interpreter.executable} does not find {name}"
    if name.partition(".")[0] == imported_package(target.entry.statement):
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
        yield (
            f"{whose}, which it needs; install it there, or name another interpreter with --python."
        )


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MOST_MESSAGE else f"{line[:MOST_MESSAGE].rstrip()}..."
