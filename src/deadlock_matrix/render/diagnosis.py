"""A diagnosis for a terminal: the answer first, then what it rests on, then what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.endings import was_interrupted
from deadlock_matrix.diagnosis.statistics import CONFIDENCE
from deadlock_matrix.diagnosis.text import count, one_line, seconds
from deadlock_matrix.model.diagnosis import (
    Check,
    Diagnosis,
    ImportCost,
    Outcome,
    Stuck,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.render.remedies import against_the_cause, remedy_lines, what_to_do
from deadlock_matrix.render.times import times_lines
from deadlock_matrix.render.wrapping import kept, wrapped


def diagnosis_text(found: Diagnosis, width: int = 80) -> str:
    """Return the whole text."""
    return "\n".join(_lines(found, width))


def _lines(found: Diagnosis, width: int) -> Iterator[str]:
    yield f"{found.target.name}: {found.outcome.value}"
    yield from wrapped(found.sentence, width, "  ")
    for advice in found.advice:
        yield from wrapped(advice, width, "  ")
    yield from stuck_lines(found.stuck)
    if found.outcome in (Outcome.DEADLOCK, Outcome.HANG, Outcome.CLEAN):
        yield from _section("how sure", sureness(found), width)
    for note in found.notes:
        yield from wrapped(note, width, "  ", "    ")
    if found.imports:
        chain = [f"{'  ' * depth}{step}" for depth, step in enumerate(found.imports)]
        yield from ("", "imports under way", *(f"  {kept(step)}" for step in chain))
    if found.involved:
        yield from _section("libraries that wait", found.involved, width)
    for cause in found.causes:
        yield from _section(
            f"known cause, {cause.certainty}: {cause.title}", [cause.explanation], width
        )
    if found.trials:
        yield from ("", "remedies, measured")
        yield from remedy_lines(found.trials, width)
    if found.outcome in (Outcome.DEADLOCK, Outcome.HANG):
        yield from ("", "what to do")
        yield from (f"  {line}" for line in what_to_do(found, width - 2))
    elif helps := tuple(against_the_cause(found, width - 2)):
        yield from ("", "what to do", *(f"  {line}" for line in helps))
    if found.times is not None:
        yield from times_lines(found.times, width)
    if found.cost is not None:
        yield from _section("what the import costs", cost_lines(found.cost), width)
    if found.checklist and found.outcome not in (Outcome.FAILED, Outcome.UNAVAILABLE):
        yield from ("", "checklist, measured")
        for check in found.checklist:
            yield from wrapped(check_line(check), width, "  ", "      ")
    yield ""
    yield f"{count(found.runs, 'run')} in {seconds(found.duration_s)}"


def stuck_lines(stuck: Sequence[Stuck]) -> Iterator[str]:
    """Yield each thread with the user's lines that led it there, the innermost last."""
    if not stuck:
        return
    yield ""
    yield "where it is stuck"
    for each in stuck:
        yield f"  {one_line(each.thread)}"
        places = [f"{one_line(line.file)}:{line.line}" for line in each.lines]
        width = max(map(len, places), default=0)
        for place, line in zip(places, each.lines, strict=True):
            yield f"    {place:<{width}}  {one_line(line.text or line.function)}".rstrip()


def sureness(found: Diagnosis) -> tuple[str, ...]:
    """Return how often it was run, and what that says about the rate."""
    if found.interval is not None:
        if was_interrupted(found.result):
            return "it was interrupted: whether it would have ended is not known", *_contexts(found)
        if not found.rate.runs:
            return "it hung once; how often it does was not measured", *_contexts(found)
        low, high = found.interval.low, found.interval.high
        fresh = (
            f"hung in {found.rate.hangs} of {found.rate.runs} runs made to measure it: the rate is "
            f"between {_share(low)} and {_share(high)} ({CONFIDENCE:.0%} confidence)"
        )
        return fresh, *_contexts(found)
    if found.below is None:
        return _contexts(found)
    sure = (
        f"none of {count(found.rate.runs, 'run')} hung: if it hangs at all, then in fewer than "
        f"{_share(found.below)} of runs ({CONFIDENCE:.0%} confidence); --repeat N lowers that bound"
    )
    return sure, *_contexts(found)


def _contexts(found: Diagnosis) -> tuple[str, ...]:
    if len(found.tried) < 2 and found.result.cell.context.name == "main":
        return ()
    told = [
        f"{each.context} {each.rate.runs}"
        + (f" ({each.rate.hangs} hung)" if each.rate.hangs else "")
        for each in found.tried
    ]
    return (f"how it was called, and how often: {', '.join(told)}",)


def cost_lines(cost: ImportCost) -> tuple[str, ...]:
    """Return seconds, modules, and who imports the heavy packages."""
    lines = [f"{seconds(cost.seconds)} (median of {count(cost.runs, 'run')}), "
             f"{count(cost.modules, 'module')}"]  # fmt: skip
    for each in cost.heavy:
        by = (
            f", imported by {each.imported_by.value}" if isinstance(each.imported_by, Known) else ""
        )
        lines.append(f"{each.name}: {count(each.modules, 'module')}{by}")
    return tuple(lines)


def check_line(check: Check) -> str:
    """Return ``[x] an import was under way: 3 deep``, or ``[?]`` with the reason it is unknown."""
    if not isinstance(check.holds, Known):
        return f"[?] {check.text}: not known, {check.holds.reason}"
    box = "[x]" if check.holds.value else "[ ]"
    return f"{box} {check.text}" + (f": {check.detail}" if check.detail else "")


def _section(title: str, lines: Sequence[str], width: int) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield from wrapped(title, width, "")
    for line in lines:
        yield from wrapped(line, width, "  ", "    ")


def _share(value: float) -> str:
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"
