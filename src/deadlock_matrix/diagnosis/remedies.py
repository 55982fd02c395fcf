"""Remedies: which are worth trying, what was measured of each, and which cures with the least.

Nothing here runs anything: `candidates` says what to run, `judge` what the results mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from deadlock_matrix.diagnosis.endings import (
    Ending,
    ending,
    entry_s,
    rate_of,
    threads_after,
    threads_when_hung,
)
from deadlock_matrix.diagnosis.statements import join, other_orders, split
from deadlock_matrix.diagnosis.statistics import is_cured
from deadlock_matrix.model.cell import Calling, Cell, Context, Profile, Stdin
from deadlock_matrix.model.diagnosis import Effect, Rate, Remedy, RemedyKind, Target, Threads, Trial
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult

_EFFECTS = tuple(Effect)
KINDS = (
    RemedyKind.VARIABLES,
    RemedyKind.CONTEXT,
    RemedyKind.ORDER,
    RemedyKind.ENTRY,
    RemedyKind.LAYOUT,
)
"""The least work for the user first: a line in the shell, a change of the program, of a package."""


def cell_of(target: Target, context: Context, deadline_s: float | None = None) -> Cell:
    """The target itself, called from ``context``."""
    return Cell(
        target=target.name,
        interpreter=target.interpreter,
        profile=target.profile,
        layout=target.layout,
        entry=target.entry,
        context=context,
        deadline_s=deadline_s or target.deadline_s,
        watch_modules=target.watch_modules,
    )


def remedied(cell: Cell, remedy: Remedy) -> Cell:
    """``cell`` with the remedy applied."""
    return replace(
        cell,
        profile=remedy.profile,
        layout=remedy.layout,
        entry=remedy.entry,
        context=remedy.context,
    )


def candidates(target: Target, context: Context) -> tuple[Remedy, ...]:
    """Everything worth trying against a hang of the target in ``context``."""
    same = _unchanged(target, context)
    return (
        *_variables(same, target),
        *_contexts(same),
        *_orders(same),
        *(
            replace(same, kind=RemedyKind.ENTRY, name=each.name, summary=each.summary, entry=each)
            for each in target.other_entries
        ),
        *(
            replace(same, kind=RemedyKind.LAYOUT, name=each.name, summary=each.summary, layout=each)
            for each in target.other_layouts
        ),
    )


def with_variables(remedy: Remedy, base: Profile, names: Sequence[str]) -> Remedy:
    """A remedy of variables, with only some of those it sets."""
    kept = {name: value for name, value in remedy.profile.set.items() if name in names}
    return replace(
        remedy,
        name=name_of(kept),
        profile=replace(base, name=remedy.name, set={**base.set, **kept}),
    )


def name_of(variables: Mapping[str, str]) -> str:
    """A name for a remedy that nobody has named: ``A=1, B=2``."""
    return ", ".join(f"{name}={value}" for name, value in variables.items())


def added_variables(remedy: Remedy, base: Profile) -> dict[str, str]:
    """The variables a remedy sets that the target does not have so."""
    return {
        name: value for name, value in remedy.profile.set.items() if base.set.get(name) != value
    }


def judge(
    remedy: Remedy,
    results: Sequence[CellResult],
    hung: CellResult,
    before: Rate,
    needed: int,
    level: float,
) -> Trial:
    """What the runs of one remedy show.

    Args:
        remedy: What was tried.
        results: Its runs, in their order.
        hung: A run without it, that hung.
        before: How often runs without it hang.
        needed: How many clean runs were to be made.
        level: The chance of a false cure that is allowed, see `statistics.level_for`.
    """
    rate = rate_of(results)
    effect, why = _effect(results, rate, before, level)
    return Trial(
        remedy=remedy,
        effect=effect,
        rate=rate,
        needed=needed,
        entry_s=entry_s(results),
        threads=Threads(before=threads_when_hung(hung), after=threads_after(results)),
        why=why,
    )


def rank(trials: Iterable[Trial], base: Profile) -> tuple[Trial, ...]:
    """The best first: by its effect, then the least change, then the least time."""
    return tuple(sorted(trials, key=lambda trial: _order(trial, base)))


def _order(trial: Trial, base: Profile) -> tuple[int, int, int, float]:
    variables = len(added_variables(trial.remedy, base))
    seconds = trial.entry_s.value if isinstance(trial.entry_s, Known) else 0.0
    return (_EFFECTS.index(trial.effect), KINDS.index(trial.remedy.kind), variables, seconds)


def _effect(
    results: Sequence[CellResult], rate: Rate, before: Rate, level: float
) -> tuple[Effect, str]:
    ends = {ending(result): result for result in results}
    if not results:
        return Effect.UNTRIED, ""
    if failed := ends.get(Ending.FAILED):
        return Effect.FAILS, failed.why
    if hung := ends.get(Ending.HUNG):
        return Effect.NOTHING, hung.why
    if moving := ends.get(Ending.MOVING):
        return Effect.SLOW, moving.why
    if missing := ends.get(Ending.NONE):
        return Effect.UNTRIED, missing.why
    clean = ends[Ending.CLEAN]
    return (Effect.CURES if is_cured(before, rate, level) else Effect.CLEAN), clean.why


def _variables(same: Remedy, target: Target) -> Iterator[Remedy]:
    for profile in target.other_profiles:
        wanted = {**target.profile.set, **profile.set}
        unset = tuple(name for name in profile.unset if name not in wanted)
        changed = replace(profile, set=wanted, unset=unset)
        yield replace(same, name=profile.name, summary=profile.summary, profile=changed)


def _contexts(same: Remedy) -> Iterator[Remedy]:
    """What can be done instead of calling it like this."""
    given = same.context
    if given.stdin is not Stdin.NULL:
        instead = replace(given, name="null-stdin", stdin=Stdin.NULL)
        summary = "with the null device as standard input"
    elif given.calling in (Calling.FORK, Calling.FORK_AGAIN):
        again = given.calling is Calling.FORK_AGAIN
        prelude = f"{given.prelude}\n{same.entry.statement}" if again else given.prelude
        instead = replace(given, name="spawn", calling=Calling.SPAWN, prelude=prelude)
        summary = "a spawned child instead of a forked one"
    elif given.calling is not Calling.MAIN:
        instead = Context(name="main", prelude=given.prelude)
        summary = "from the main thread of the first process"
    else:
        return
    yield replace(
        same, kind=RemedyKind.CONTEXT, name=instead.name, summary=summary, context=instead
    )


def _orders(same: Remedy) -> Iterator[Remedy]:
    parts = split(same.entry.statement)
    for number, order in enumerate(other_orders(parts.imports), start=1):
        name = f"order-{number}"
        entry = replace(same.entry, name=name, statement=join(order, parts.rest))
        yield replace(same, kind=RemedyKind.ORDER, name=name, summary="; ".join(order), entry=entry)


def _unchanged(target: Target, context: Context) -> Remedy:
    """The target itself, to be changed in one place."""
    return Remedy(
        kind=RemedyKind.VARIABLES,
        name="",
        summary="",
        profile=target.profile,
        layout=target.layout,
        entry=target.entry,
        context=context,
    )
