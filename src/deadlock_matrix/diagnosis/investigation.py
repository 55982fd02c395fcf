"""What to run, and what to run next: from a target to everything that was measured of it.

Pure: a `Bench` runs the cells, and tells how much time is left. The order is: find a hang, measure
how often it comes, try every remedy once, confirm those that came out clean, leave out what the
best one does not need, and find which imports the hang needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from msgspec.structs import replace

from deadlock_matrix.diagnosis.attempts import (
    Attempts,
    Bench,
    Measured,
    Smaller,
    fewer_variables,
    is_less,
    minimised_by,
)
from deadlock_matrix.diagnosis.costs import heavy_packages
from deadlock_matrix.diagnosis.endings import Ending, ending, observation_of, probe_facts, rate_of
from deadlock_matrix.diagnosis.minimise import Minimiser, OutOfTime
from deadlock_matrix.diagnosis.remedies import KINDS, added_variables, candidates, cell_of
from deadlock_matrix.diagnosis.statements import join, split
from deadlock_matrix.diagnosis.statistics import MOST_RUNS, level_for, runs_to_see
from deadlock_matrix.model.cell import Calling, Context
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
SLOW_RUNS = 3  # the same, if each run takes long
SELDOM_RUNS = 20  # to measure that of anything else
LONG_S = 4.0
SHORTEST_DEADLINE_S = 5.0
FEWEST_REMEDIES = 6
_IN_ONE_PROCESS = (Calling.MAIN, Calling.THREAD, Calling.TWO_THREADS)


class Found(NamedTuple):
    """What the first part finds: a result that decides, and what was run until then.

    ``clean`` are the runs from the first context, if none hung; ``failed`` one from each context
    from which it fails by itself.
    """

    result: CellResult
    context: Context
    series: tuple[Series, ...]
    clean: tuple[CellResult, ...]
    failed: tuple[CellResult, ...] = ()


class Remedies(NamedTuple):
    """What was tried, and what cures with the least; ``clean`` are runs that were cured."""

    trials: tuple[Trial, ...] = ()
    cure: Trial | None = None
    variables: Minimised | None = None
    clean: tuple[CellResult, ...] = ()


def find_hang(target: Target, bench: Bench) -> Found:
    """Run once; if that ends by itself, from every other context, and then again and again.

    The first run that hangs ends the search; so does a first run that fails or is only slow.
    """
    first = target.contexts[0]
    bench.tell(f"running it once, for at most {target.deadline_s:.0f} s")
    (result,) = bench.run([cell_of(target, first)])
    if ending(result) is not Ending.CLEAN:
        return Found(result, first, (Series(context=first.name, rate=rate_of([result])),), ())
    seen: dict[str, list[CellResult]] = {first.name: [result]}
    facts = probe_facts(result)
    if facts is not None:
        # From now on it is also asked who imports what has turned out to be heavy.
        watched = dict.fromkeys((*target.watch_modules, *heavy_packages(facts)))
        target = replace(target, watch_modules=tuple(watched))
    contexts = {context.name: context for context in target.contexts}
    todo = [*target.contexts[1:], *[first] * (target.runs - 1)]
    bench.tell(f"it ended; up to {len(todo)} more runs, from other contexts and again")
    for start in range(0, len(todo), bench.jobs):
        if bench.left_s() <= 0:
            break
        batch = todo[start : start + bench.jobs]
        for context, each in zip(
            batch, bench.run([cell_of(target, context) for context in batch]), strict=True
        ):
            if _is_about(each):
                seen.setdefault(context.name, []).append(each)
        hung = [each for results in seen.values() for each in results
                if ending(each) is Ending.HUNG]  # fmt: skip
        if hung:
            return Found(hung[0], contexts[hung[0].cell.context.name], _series(seen), ())
    failed = {
        each.cell.context.name: each
        for results in seen.values()
        for each in results
        if ending(each) is Ending.FAILED
    }
    return Found(result, first, _series(seen), tuple(seen[first.name]), tuple(failed.values()))


def measure(found: Found, target: Target, bench: Bench) -> Measured:
    """How often a hang comes that was seen once, by a number of runs decided beforehand.

    The runs that led to it are not counted: they were made until one hung. Two more decide how
    many are to be counted. Few, if it always hangs; should one of those few end by itself after
    all, they are thrown away, and many are made.
    """
    hung = found.result
    deadline_s = _deadline(hung, target.deadline_s)
    cell = cell_of(target, found.context, deadline_s)
    seen = observation_of(hung)
    again = rate_of(bench.run([cell] * DECIDING_RUNS))
    always = again.hangs == again.runs and _at_once(found)
    # A run that nothing proves stuck takes the whole deadline; the clean ones, of which more are
    # needed then, do not.
    slow = hung.verdict is Verdict.HANG and deadline_s > LONG_S
    runs = SLOW_RUNS if slow else ALWAYS_RUNS
    if always:
        bench.tell(f"it hangs; {runs} runs to measure how often")
        rate = rate_of(bench.run([cell] * runs))
        if rate.hangs == rate.runs:
            return Measured(cell, rate, hung)
    runs = SELDOM_RUNS
    if seen is not None and seen.duration_s * runs > bench.left_s() * bench.jobs:
        runs //= 2
    bench.tell(f"it does not hang every time; {runs} runs to measure how often")
    return Measured(cell, rate_of(bench.run([cell] * runs)), hung)


def try_remedies(measured: Measured, target: Target, context: Context, bench: Bench) -> Remedies:
    """Try every remedy, confirm those that come out clean, and make the best one smaller."""
    todo = candidates(target, context)
    if not todo or not measured.rate.hangs:
        return Remedies()
    chosen, rest = _choose(todo, measured, bench)
    attempts = Attempts(measured, target, bench, _level(chosen, target))
    needed = "more than can be made" if attempts.needed >= MOST_RUNS else attempts.needed
    bench.tell(
        f"trying {len(chosen)} remedies; {needed} clean runs in a row are needed to call one a cure"
    )
    smaller: Smaller | None = None
    # What costs the user least is tried, confirmed and made smaller first: time may run out.
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
    """Which of the imports that the statement begins with are needed for it to hang."""
    parts = split(target.entry.statement)
    if len(parts.imports) < 2 or not measured.rate.hangs:
        return None
    runs = runs_to_see(measured.rate)
    bench.tell(f"leaving out imports, {runs} runs each, to find those that it needs to hang")

    def still_hangs(imports: tuple[str, ...]) -> bool:
        if bench.left_s() <= 0:
            raise OutOfTime
        entry = replace(target.entry, statement=join(imports, parts.rest) or "pass")
        cells = [replace(measured.cell, entry=entry)] * runs
        batches = (cells[at : at + bench.jobs] for at in range(0, runs, bench.jobs))
        return any(rate_of(bench.run(batch)).hangs for batch in batches)

    return minimised_by(Minimiser(parts.imports, still_hangs), target.entry.name)


def _choose(
    remedies: Sequence[Remedy], measured: Measured, bench: Bench
) -> tuple[list[Remedy], list[Remedy]]:
    """Those that can be tried once in half of the time that is left, some of each kind."""
    by_kind = [[each for each in remedies if each.kind is kind] for kind in KINDS]
    in_turns = [each for turn in zip_longest(*by_kind) for each in turn if each is not None]
    seen = observation_of(measured.hung)
    one_s = seen.duration_s if seen is not None else 0.0
    fit = int(bench.left_s() / 2 / max(one_s, 0.01)) * bench.jobs
    number = max(FEWEST_REMEDIES, fit)
    return in_turns[:number], in_turns[number:]


def _level(remedies: Sequence[Remedy], target: Target) -> float:
    """The 5 % are for all remedies together, those included that leave variables out."""
    most = max((len(added_variables(each, target.profile)) for each in remedies), default=0)
    return level_for(len(remedies) + most)


def _deadline(hung: CellResult, given_s: float) -> float:
    """A run that is proved stuck ends by itself; one that only hangs, soon after it came that far.

    How far it came is known of its main thread, which in other ways of calling only waits.
    """
    seen = observation_of(hung)
    if hung.verdict is Verdict.DEADLOCK or hung.cell.context.calling not in _IN_ONE_PROCESS:
        return given_s
    if seen is None or not isinstance(seen.last_progress_s, Known):
        return given_s
    return min(given_s, max(SHORTEST_DEADLINE_S, 3 * seen.last_progress_s.value + 2.0))


def _at_once(found: Found) -> bool:
    return all(series.rate.hangs == series.rate.runs for series in found.series
               if series.context == found.context.name)  # fmt: skip


def _series(seen: dict[str, list[CellResult]]) -> tuple[Series, ...]:
    return tuple(Series(context=name, rate=rate_of(results)) for name, results in seen.items())


def _is_about(result: CellResult) -> bool:
    """Whether a run says something: not if it could not be made, or its prelude failed."""
    seen = observation_of(result)
    return seen is not None and seen.phase not in ("start", "prelude")
