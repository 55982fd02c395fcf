"""A bug report in Markdown, ready to file: what hangs, the proof, a script that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.endings import observation_of
from deadlock_matrix.model.diagnosis import Diagnosis, Outcome
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.render.diagnosis import check_line, cure_lines, effect_text, sureness
from deadlock_matrix.render.markup import code, escaped, fenced, table
from deadlock_matrix.render.stacks import short_stacks

_MOST_LIBRARIES = 12
_LONGEST = 20_000  # of a path or the list of packages, in characters


def bug_report(found: Diagnosis) -> str:
    """The whole report."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Diagnosis) -> Iterator[str]:
    yield f"# {_title(found)}"
    yield ""
    yield escaped(found.sentence)
    yield from _paragraphs(found.advice)
    yield from _section("How often", [f"- {escaped(line)}" for line in sureness(found)])
    if found.reproducer is not None:
        yield from _section("To reproduce", [fenced(found.reproducer.text, "python")])
        alone = found.reproducer.alone
        told = alone.value if isinstance(alone, Known) else alone.reason
        yield ""
        yield f"Run alone, without any tool, this script came to: {escaped(told)}."
    if found.imports:
        yield from _section("Imports under way", [f"- {code(step)}" for step in found.imports])
    if found.involved:
        paths = [f"- {code(path, _LONGEST)}" for path in found.involved]
        yield from _section("Libraries in which it waits", paths)
    yield from _proof(found)
    stacks = "\n".join(short_stacks(found.result))
    if stacks:
        yield from _section("Stacks", [fenced(stacks)])
    for cause in found.causes:
        lines = [escaped(cause.explanation), "", *(f"- {escaped(each)}" for each in cause.advice)]
        lines += [f"- see {reference}" for reference in cause.references]
        yield from _section(f"Known cause ({cause.certainty}): {escaped(cause.title)}", lines)
    yield from _remedies(found)
    yield from _section("Checklist", [f"- {_escaped_line(check_line(each))}"
                                      for each in found.checklist])  # fmt: skip
    yield from _environment(found)
    tool = found.tool
    yield ""
    yield f"Found by {tool.name} {tool.version}."


def _title(found: Diagnosis) -> str:
    what = {
        Outcome.DEADLOCK: "deadlocks",
        Outcome.HANG: "hangs",
        Outcome.CLEAN: "does not hang",
        Outcome.SLOW: "is slow",
        Outcome.FAILED: "fails",
    }.get(found.outcome, "could not be run")
    context = found.result.cell.context
    where = "" if context.name == "main" else f" (called from: {context.summary or context.name})"
    statement = found.target.entry.statement
    name = found.target.name if "\n" in statement else code(statement)
    return f"{name} {what}{where}"


def _proof(found: Diagnosis) -> Iterator[str]:
    judgement = found.result.judgement
    if judgement is None:
        return
    if judgement.proof is not None:
        lines = [f"- {escaped(each.does)} — {escaped(each.name)}" for each in judgement.threads
                 if each.stuck or each.likely]  # fmt: skip
        kind = judgement.proof.kind.value
        intro = f"Proved from outside ({kind} proof); each of these threads waits for ever:"
        if judgement.proof.assumptions:
            assumed = "; ".join(escaped(each.detail) for each in judgement.proof.assumptions)
            intro = (
                f"Likely, seen from outside; each of these threads waits for ever, if {assumed}:"
            )
        yield from _section("Proof", [intro, "", *lines])
    elif judgement.gaps:
        lines = [f"- {escaped(gap.subject)}: {escaped(gap.detail)}" for gap in judgement.gaps]
        yield from _section("Why it is not proved", lines)


def _remedies(found: Diagnosis) -> Iterator[str]:
    if not found.trials:
        return
    rows = [
        [escaped(text) for text in (each.remedy.name, each.remedy.summary, effect_text(each))]
        for each in found.trials
    ]
    yield from _section("Remedies, measured", [table(("remedy", "what it is", "effect"), rows)])
    if found.cure is not None:
        text = "\n".join(cure_lines(found.cure, found.target.profile.set))
        yield ""
        yield f"The smallest that cures ({escaped(effect_text(found.cure))}):"
        yield ""
        yield fenced(text)


def _environment(found: Diagnosis) -> Iterator[str]:
    fact = found.interpreter.fingerprint
    if not isinstance(fact, Known):
        yield from _section("Environment", [f"The interpreter is not known: {fact.reason}"])
        return
    what = fact.value
    lines = [
        f"- {what.implementation} {escaped(what.version)}, {escaped(what.distribution)}",
        f"- {escaped(what.build)}",
        *_libraries(what),
    ]
    seen = observation_of(found.result)
    if seen is not None and isinstance(seen.evidence, Known):
        machine = seen.evidence.value.machine
        lines.append(f"- {machine.system} {machine.kernel}, {machine.architecture}, {machine.libc}")
    yield from _section("Environment", lines)
    packages = ", ".join(f"{name} {version}" for name, version in what.packages.items())
    if packages:
        yield ""
        yield f"Installed: {escaped(packages, _LONGEST)}"


def _libraries(what: Fingerprint) -> Iterator[str]:
    if isinstance(what.libraries, Known):
        for each in what.libraries.value[:_MOST_LIBRARIES]:
            version = f" {each.version.value}" if isinstance(each.version, Known) else ""
            yield f"- {escaped(each.name + version)}: {code(each.path, _LONGEST)}"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "", *lines)


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield ""
        yield escaped(text)


def _escaped_line(text: str) -> str:
    """As `escaped`, but for the box of a task list in front."""
    box, rest = text[:3], text[3:]
    return f"{'[ ]' if box == '[?]' else box} {escaped(rest)}"
