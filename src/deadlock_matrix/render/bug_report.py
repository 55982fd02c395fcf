"""A one-page bug report in Markdown for a package's maintainer: what hangs, where, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.libraries import short_name
from deadlock_matrix.model.diagnosis import Diagnosis, Outcome, Times
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.render.diagnosis import check_line, stuck_lines, sureness
from deadlock_matrix.render.markup import code, details, escaped, fenced
from deadlock_matrix.render.remedies import (
    cure_lines,
    effect_text,
    known_remedies,
    reproducer_lines,
    untried_changes,
)
from deadlock_matrix.render.stacks import short_stacks
from deadlock_matrix.render.times import times_lines
from deadlock_matrix.render.view import described

_LONGEST = 20_000  # of a path or the list of packages, in characters
_SHORT = 50
"""Most lines of a script that the report shows as it is; a longer one is folded away."""

_TOLD = 8
"""How many remedies are shown with their measurements."""

_WIDTH = 100


def bug_report(found: Diagnosis) -> str:
    """Return the whole report."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Diagnosis) -> Iterator[str]:
    yield f"# {_title(found)}"
    yield ""
    yield escaped(found.sentence)
    yield from _paragraphs(found.advice)
    yield from _section("Where", _where(found))
    if found.outcome in (Outcome.DEADLOCK, Outcome.HANG):
        yield from _section("How often", [f"- {escaped(line)}" for line in sureness(found)])
    yield from _section("To reproduce", list(_to_reproduce(found)))
    for cause in found.causes:
        lines = [escaped(cause.explanation), *(f"- see {each}" for each in cause.references)]
        title = f"Known cause ({cause.certainty}): {escaped(cause.title)}"
        yield from _section(title, [lines[0], "", *lines[1:]] if lines[1:] else lines)
    yield from _section("What helps", list(_what_helps(found)))
    if found.times is not None:
        yield from _section("Where the time goes", list(_times(found.times)))
    yield from _section("Versions", list(_versions(found)))
    yield from _folded(found)
    tool = found.tool
    yield ""
    yield f"Found by {tool.name} {tool.version}."


def _title(found: Diagnosis) -> str:
    what = {
        Outcome.DEADLOCK: "deadlocks",
        Outcome.HANG: "hangs",
        Outcome.CLEAN: "does not hang" if found.times is None else "is slow",
        Outcome.SLOW: "is slow",
        Outcome.FAILED: "fails",
    }.get(found.outcome, "could not be run")
    context = found.result.cell.context
    where = "" if context.name == "main" else f" (called from: {context.summary or context.name})"
    statement = found.target.entry.statement
    name = found.target.name if "\n" in statement else code(statement)
    return f"{name} {what}{where}"


def _where(found: Diagnosis) -> list[str]:
    lines = list(stuck_lines(found.stuck))[2:]
    shown = [fenced("\n".join(lines))] if lines else []
    if found.involved:
        libraries = ", ".join(code(path, _LONGEST) for path in found.involved)
        shown += ["", f"Libraries in which it waits: {libraries}"]
    return shown


def _to_reproduce(found: Diagnosis) -> Iterator[str]:
    reproducer = found.reproducer
    if reproducer is None:
        return
    for line in reproducer_lines(reproducer):
        yield escaped(line)
        yield ""
    script = fenced(reproducer.text, "python")
    if len(reproducer.text.splitlines()) <= _SHORT:
        yield script
    else:
        yield details("reproducer.py", script)


def _what_helps(found: Diagnosis) -> Iterator[str]:
    if found.cure is not None:
        yield f"{escaped(found.cure.remedy.name)} {escaped(effect_text(found.cure))}:"
        yield ""
        yield fenced("\n".join(cure_lines(found.cure, found.target.profile.set)))
        yield ""
    else:
        for remedy in known_remedies(found):
            yield f"- {escaped(remedy.advice)}"
            if remedy.code:
                yield fenced(remedy.code, "")
    for change in untried_changes(found):
        yield f"- {escaped(change.why)} (not tried): {code(f'{change.file}:{change.line}')}"
    others = [each for each in found.trials if each != found.cure][:_TOLD]
    for each in others:
        yield f"- {escaped(each.remedy.name)}: {escaped(effect_text(each))}"


def _times(times: Times) -> Iterator[str]:
    yield fenced("\n".join(times_lines(times, _WIDTH)).strip("\n"))


def _versions(found: Diagnosis) -> Iterator[str]:
    yield f"- {escaped(described(found.interpreter, ()))}"
    what = found.interpreter.fingerprint.or_else(None)
    if what is None:
        return
    evidence = found.result.evidence
    if evidence is not None:
        machine = evidence.machine
        yield f"- {machine.system} {machine.kernel}, {machine.architecture}, {machine.libc}"
    if found.reproducer is not None and found.reproducer.needs:
        yield f"- {escaped(', '.join(found.reproducer.needs))}"
    yield from _libraries(what, found.involved)


def _libraries(what: Fingerprint, involved: Sequence[str]) -> Iterator[str]:
    """Yield the versions of the libraries in which it waits, where they are known."""
    for each in what.libraries.or_else(()):
        if each.path in involved:
            yield f"- {escaped(short_name(each))}"


def _folded(found: Diagnosis) -> Iterator[str]:
    """Yield what only some readers want."""
    stacks = "\n".join(short_stacks(found.result))
    if stacks:
        yield ""
        yield details("Stacks", fenced(stacks))
    if found.checklist:
        checks = "\n".join(f"- {_escaped_line(check_line(each))}" for each in found.checklist)
        yield ""
        yield details("Checklist", checks)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "", *lines)


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield ""
        yield escaped(text)


def _escaped_line(text: str) -> str:
    """Do as `escaped`, except for the box of a task list at the beginning."""
    box, rest = text[:3], text[3:]
    return f"{'[ ]' if box == '[?]' else box} {escaped(rest)}"
