"""What to run, and what to run next: from a target to everything that was measured of it.

This is pure: a `Bench` runs the cells, and says how much time is left. The order is: find a hang,
measure how often it comes, try every remedy once, confirm those that came out clean, leave out what
the best one does not need, and find which imports the hang needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from msgspec.structs import replace

from deadlock_matrix.diagnosis.endings import Ending, ending, rate_of
from deadlock_matrix.diagnosis.investigation.attempts import (
    Attempts,
    Bench,
    Measured,
    Smaller,
    fewer_variables,
    is_less,
    minimised_by,
)
from deadlock_matrix.diagnosis.investigation.costs import heavy_packages
from deadlock_matrix.diagnosis.investigation.minimise import Minimiser, OutOfTime
from deadlock_matrix.diagnosis.investigation.remedies import (
    KINDS,
    added_variables,
    cell_of,
)
from deadlock_matrix.diagnosis.investigation.statements import (
    join,
    split,
    text_of,
    used_in,
    with_text,
)
from deadlock_matrix.diagnosis.investigation.times import SLOW_S
from deadlock_matrix.diagnosis.statistics import MOST_RUNS, level_for, runs_to_see
from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.cell import Calling, Cell, Context
from deadlock_matrix.model.diagnosis import (
    Effect,
    Minimised,
    Remedy,
    RemedyKind,
    Series,
    Target,
    Trial,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

DECIDING_RUNS = 2  # whether it hangs every time
ALWAYS_RUNS = 5  # to measure the rate of what has hung every time so far
LONG_RUNS = 2  # the same, if nothing proves it stuck, so each run takes its whole deadline
FEWEST_RUNS = 4  # however little time is left
SELDOM_RUNS = 20  # to measure the rate of anything else
LONG_S = 4.0
RARE_TIMES = 3
"""How many times more often each concurrent way is run: two threads must meet at one moment."""

CONCURRENT = (Calling.CONCURRENT_IMPORTS, Calling.CONCURRENT_EXPORTS)
SHORTEST_DEADLINE_S = 5.0
FEWEST_REMEDIES = 6


class Found(NamedTuple):
    """What the first part finds: a result that decides, and what was run until then.

    ``clean`` are the runs from the first context, if none hung; ``failed`` is a run of each way to
    run it that fails by itself. ``way`` is the one that hangs, as its series is called.
    """

    result: CellResult
    context: Context
    series: tuple[Series, ...]
    clean: tuple[CellResult, ...]
    failed: Mapping[str, CellResult] = {}
    way: str = ""


class Remedies(NamedTuple):
    """What was tried, and what cures with the least; ``clean`` are runs that were cured."""

    trials: tuple[Trial, ...] = ()
    cure: Trial | None = None
    variables: Minimised | None = None
    clean: tuple[CellResult, ...] = ()


def find_hang(
    target: Target,
    bench: Bench,
    further: Callable[[CellResult], Sequence[Cell]] = lambda first: (),
) -> Found:
    """Run once; if that ends by itself, in every other way, and then again and again.

    The first run that hangs ends the search; so does a first run that fails or is slow, unless the
    target is to be examined thoroughly.

    Args:
        target: What to run.
        bench: Runs it.
        further: Called once, with the first run that ended: returns other ways to run it, such as
            under a profile, or by another interpreter.
    """
    first = target.contexts[0]
    bench.tell(f"running it once, for at most {target.deadline_s:.0f} s")
    start = cell_of(target, first)
    (result,) = bench.run([start])
    if ending(result) is not Ending.CLEAN:
        return Found(result, first, (Series(context=first.name, rate=rate_of([result])),), ())
    seen: dict[str, list[CellResult]] = {first.name: [result]}
    facts = result.probe
    if facts is not None:
        if facts.entry_s >= SLOW_S and not target.thorough:
            return Found(result, first, _series(seen), (result,))
        # From now on runs also record who imports what has turned out to be heavy.
        watched = dict.fromkeys((*target.watch_modules, *heavy_packages(facts)))
        target = replace(target, watch_modules=tuple(watched))
        start = cell_of(target, first)
    loaded = {name.lower() for name in facts.top_levels} if facts is not None else set()
    contexts = [each for each in target.contexts[1:] if loaded.issuperset(each.requires)]
    others = [cell_of(target, context) for context in contexts]
    others += [replace(each, watch_modules=target.watch_modules) for each in further(result)]
    again = [start] * (target.runs - 1)
    rare = [each for each in others if each.context.calling in CONCURRENT] * RARE_TIMES
    todo = [*others, *again, *rare]
    bench.tell(f"it ended; up to {len(todo)} more runs, in {len(others)} other ways and repeatedly")
    for at in range(0, len(todo), bench.jobs):
        if bench.left_s() <= 0:
            break
        batch = todo[at : at + bench.jobs]
        if at:
            bench.tell("running it " + ", ".join(way_of(cell, target) for cell in batch))
        for cell, each in zip(batch, bench.run(batch), strict=True):
            if _is_about(each):
                seen.setdefault(way_of(cell, target), []).append(each)
        hung = [(way, each) for way, results in seen.items() for each in results
                if ending(each) is Ending.HUNG]  # fmt: skip
        if hung:
            way, each = hung[0]
            return Found(each, each.cell.context, _series(seen), (), way=way)
    failed = {
        name: each
        for name, results in seen.items()
        for each in results
        if ending(each) is Ending.FAILED
    }
    return Found(result, first, _series(seen), tuple(seen[first.name]), failed)


def way_of(cell: Cell, target: Target) -> str:
    """Return how a cell differs from the target, in words: ``main``, ``main with fast-math``."""
    name = cell.context.name
    if cell.profile != target.profile:
        name += f" with {cell.profile.name}"
    if cell.interpreter != target.interpreter:
        name += f" by {cell.interpreter.name}"
    return name


def measure(found: Found, target: Target, bench: Bench) -> Measured:
    """Measure how often a hang comes that was seen once, in a number of runs decided beforehand.

    The runs that led to it are not counted: they were made until one hung. Two more, unless each
    takes long, decide how many are to be counted: few, if it always hangs. If one of those few ends
    by itself after all, they are thrown away, and many are made.
    """
    hung = found.result
    deadline_s = _deadline(hung, target.deadline_s)
    cell = cell_of(target, found.context, deadline_s)
    seen = hung.seen
    # A run that nothing proves stuck takes the whole deadline: make few, and none to decide.
    long = hung.verdict is Verdict.HANG and deadline_s > LONG_S
    again = rate_of(bench.run([cell] * (0 if long else DECIDING_RUNS)))
    if again.hangs == again.runs and _at_once(found):
        runs = LONG_RUNS if long else ALWAYS_RUNS
        bench.tell(f"it hangs; {runs} runs to measure how often")
        rate = rate_of(bench.run([cell] * runs))
        if rate.hangs == rate.runs:
            return Measured(cell, rate, hung)
    runs = SELDOM_RUNS
    if seen is not None:
        # The time decides, before any run is made, so this is as good as any other number.
        fit = int(bench.left_s() / 2 / max(seen.duration_s, 0.01)) * bench.jobs
        runs = min(runs, max(fit, FEWEST_RUNS))
    bench.tell(f"it does not hang every time; {runs} runs to measure how often")
    return Measured(cell, rate_of(bench.run([cell] * runs)), hung)


def try_remedies(
    measured: Measured, target: Target, todo: Sequence[Remedy], bench: Bench
) -> Remedies:
    """Try every remedy, confirm those that come out clean, and make the best one smaller."""
    if not todo or not measured.rate.hangs:
        return Remedies()
    chosen, rest = _choose(todo, measured, bench)
    attempts = Attempts(measured, target, bench, _level(chosen, target))
    needed = "more than can be made" if attempts.needed >= MOST_RUNS else attempts.needed
    bench.tell(
        f"trying {count(len(chosen), 'remedy', 'remedies')}; {needed} clean runs in a row are "
        "needed to call one a cure"
    )
    smaller: Smaller | None = None
    # What costs the user least is tried, confirmed and reduced first: time may run out.
    for kind in KINDS:
        attempts.once([remedy for remedy in chosen if remedy.kind is kind])
        if kind is RemedyKind.VARIABLES:
            smaller = fewer_variables(target, attempts, bench)
    for trial in attempts.ranked():
        attempts.confirm(trial.remedy)
    if measured.rate.hangs < measured.rate.runs:
        attempts.weigh()
    attempts.leave(rest)
    cure = next((trial for trial in attempts.ranked() if trial.effect is Effect.CURES), None)
    variables = smaller.variables if smaller is not None else None
    if cure is not None and smaller is not None and is_less(smaller.trial, cure, target.profile):
        cure = smaller.trial
    return Remedies(attempts.ranked(), cure, variables, attempts.clean())


def fewer_imports(measured: Measured, target: Target, bench: Bench) -> Minimised | None:
    """Return which of the imports that the statement begins with are needed for the hang."""
    parts = split(text_of(target))
    used = used_in(parts.imports, parts.rest)
    free = [each for each in parts.imports if each not in used]
    if len(parts.imports) < 2 or not free or not measured.rate.hangs:
        return None
    runs = runs_to_see(measured.rate)
    bench.tell(
        f"leaving out imports, {count(runs, 'run')} each, to find those that it needs to hang"
    )

    def with_used(imports: Sequence[str]) -> tuple[str, ...]:
        return tuple(each for each in parts.imports if each in used or each in imports)

    def still_hangs(imports: tuple[str, ...]) -> bool:
        if bench.left_s() <= 0:
            raise OutOfTime
        entry = with_text(target, join(with_used(imports), parts))
        cells = [replace(measured.cell, entry=entry)] * runs
        batches = (cells[at : at + bench.jobs] for at in range(0, runs, bench.jobs))
        return any(rate_of(bench.run(batch)).hangs for batch in batches)

    found = minimised_by(Minimiser(free, still_hangs), target.entry.name)
    elements = with_used(found.elements)
    return replace(found, elements=elements, out_of=len(parts.imports))


def _choose(
    remedies: Sequence[Remedy], measured: Measured, bench: Bench
) -> tuple[list[Remedy], list[Remedy]]:
    """Return those that can be tried once in half of the remaining time, some of each kind."""
    by_kind = [[each for each in remedies if each.kind is kind] for kind in KINDS]
    in_turns = [each for turn in zip_longest(*by_kind) for each in turn if each is not None]
    seen = measured.hung.seen
    one_s = seen.duration_s if seen is not None else 0.0
    fit = int(bench.left_s() / 2 / max(one_s, 0.01)) * bench.jobs
    number = max(FEWEST_REMEDIES, fit)
    return in_turns[:number], in_turns[number:]


def _level(remedies: Sequence[Remedy], target: Target) -> float:
    """Share the 5 % among all remedies together, including those that leave variables out."""
    most = max((len(added_variables(each, target.profile)) for each in remedies), default=0)
    return level_for(len(remedies) + most)


def _deadline(hung: CellResult, given_s: float) -> float:
    """Return a deadline for more runs of a hang: soon after its last progress, if it is unproved.

    A run that is proved stuck ends by itself. How far a run got is known only of the main thread,
    which merely waits in other ways of calling.
    """
    seen = hung.seen
    if hung.verdict is Verdict.DEADLOCK or hung.cell.context.calling is not Calling.MAIN:
        return given_s
    if seen is None or not isinstance(seen.last_progress_s, Known):
        return given_s
    return min(given_s, max(SHORTEST_DEADLINE_S, 3 * seen.last_progress_s.value + 2.0))


def _at_once(found: Found) -> bool:
    way = found.way or found.context.name
    return all(series.rate.hangs == series.rate.runs for series in found.series
               if series.context == way)  # fmt: skip


def _series(seen: dict[str, list[CellResult]]) -> tuple[Series, ...]:
    return tuple(Series(context=name, rate=rate_of(results)) for name, results in seen.items())


def _is_about(result: CellResult) -> bool:
    """Return whether a run says something: not if it could not be made, or its prelude failed."""
    seen = result.seen
    return seen is not None and seen.phase not in ("start", "prelude")
