"""Remedies: which are worth trying, what was measured of each, and which cures with the least.

Nothing here runs anything: `candidates` says what to run, `judge` what the results mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from deadlock_matrix.diagnosis.endings import (
    Ending,
    ending,
    entry_s,
    rate_of,
    threads_after,
    threads_when_hung,
)
from deadlock_matrix.diagnosis.investigation.statements import (
    is_of,
    join,
    other_orders,
    split,
    text_of,
    with_text,
)
from deadlock_matrix.diagnosis.statistics import is_cured
from deadlock_matrix.model.cell import Calling, Cell, Context, Profile, Stdin
from deadlock_matrix.model.diagnosis import Effect, Rate, Remedy, RemedyKind, Target, Threads, Trial
from deadlock_matrix.model.observation import CellResult

_EFFECTS = tuple(Effect)
KINDS = (
    RemedyKind.VARIABLES,
    RemedyKind.CONTEXT,
    RemedyKind.ORDER,
    RemedyKind.ENTRY,
    RemedyKind.SOURCE,
    RemedyKind.LAYOUT,
)
"""The least work for the user first: a line in the shell, a change of the program, of a package."""


def cell_of(target: Target, context: Context, deadline_s: float | None = None) -> Cell:
    """Return the target itself, called from ``context``."""
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
    """Return ``cell`` with the remedy applied."""
    return replace(
        cell,
        profile=remedy.profile,
        layout=remedy.layout,
        entry=remedy.entry,
        context=remedy.context,
    )


def candidates(
    target: Target,
    context: Context,
    needed: Sequence[str] | None = None,
    inert: Collection[str] = (),
) -> tuple[Remedy, ...]:
    """Return what can be tried against a hang of the target in ``context``.

    Args:
        target: The target that hangs, with only those profiles that can matter, see `fitting`.
        context: The context in which it hangs.
        needed: The imports needed for the hang, if known: with fewer than two of them their order
            cannot matter.
        inert: Packages that may be imported in any order: the standard library.
    """
    same = unchanged(target, context)
    return (
        *_variables(same, target),
        *_contexts(same),
        *_orders(same, target, needed, inert),
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
    """Return a remedy of variables, with only some of those it sets."""
    kept = {name: value for name, value in remedy.profile.set.items() if name in names}
    return replace(
        remedy,
        name=name_of(kept),
        profile=replace(base, name=remedy.name, set={**base.set, **kept}),
    )


def name_of(variables: Mapping[str, str]) -> str:
    """Return a name for a remedy that nobody has named: ``A=1, B=2``."""
    return ", ".join(f"{name}={value}" for name, value in variables.items())


def added_variables(remedy: Remedy, base: Profile) -> dict[str, str]:
    """Return the variables that a remedy sets and the target does not have with that value."""
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
    """Return what the runs of one remedy show.

    Args:
        remedy: What was tried.
        results: Its runs, in their order.
        hung: A run without it that hung.
        before: How often runs without it hang.
        needed: How many clean runs were required.
        level: The accepted chance of a false cure, see `statistics.level_for`.
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
    """Sort best first: by effect, then the smallest change, then the shortest time."""
    return tuple(sorted(trials, key=lambda trial: _order(trial, base)))


def _order(trial: Trial, base: Profile) -> tuple[int, int, int, float]:
    variables = len(added_variables(trial.remedy, base))
    seconds = trial.entry_s.or_else(0.0)
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
        given = target.profile.set
        wanted = {n: v for n, v in given.items() if n not in profile.unset} | profile.set
        unset = tuple(name for name in profile.unset if name not in wanted)
        changed = replace(profile, set=wanted, unset=unset)
        if (wanted, unset) == (given, target.profile.unset):
            continue  # a hang that was found under this profile
        yield replace(same, name=profile.name, summary=profile.summary, profile=changed)


def _contexts(same: Remedy) -> Iterator[Remedy]:
    """Yield what can be done instead of calling it like this."""
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
        summary = "from the main thread, before other threads or processes need it"
    else:
        return
    yield replace(
        same, kind=RemedyKind.CONTEXT, name=instead.name, summary=summary, context=instead
    )


def other_start_methods(target: Target, context: Context) -> Iterator[Remedy]:
    """Yield, for a child that multiprocessing forked, start methods that copy no locks."""
    same = unchanged(target, context)
    for method in ("spawn", "forkserver"):
        code = f"multiprocessing.set_start_method({method!r})"
        prelude = f"import multiprocessing\n{code}\n{context.prelude}"
        yield replace(
            same,
            kind=RemedyKind.CONTEXT,
            name=f"start-method-{method}",
            summary=f"import multiprocessing; {code}, before anything is started",
            context=replace(context, name=f"start-method-{method}", prelude=prelude),
        )


def _orders(
    same: Remedy, target: Target, needed: Sequence[str] | None, inert: Collection[str]
) -> Iterator[Remedy]:
    """Yield other orders of the imports needed for the hang, and the others before them.

    The place of an inert import does not matter: it comes first.
    """
    parts = split(text_of(target))
    first = [each for each in parts.imports if is_of(each, inert)]
    given = [each for each in parts.imports if each not in first]
    tried = [_among(given, needed)]
    orders = []
    for order in other_orders(given):
        if (among := _among(order, needed)) not in tried:
            tried.append(among)
            orders.append(order)
    if needed is not None:
        helpers = [each for each in given if each not in needed]
        helped = (*helpers, *_among(given, needed))
        if helpers and helped != tuple(given):
            orders.append(helped)
    for number, order in enumerate(orders, start=1):
        name = f"order-{number}"
        entry = replace(with_text(target, join([*first, *order], parts)), name=name)
        yield replace(same, kind=RemedyKind.ORDER, name=name, summary="; ".join(order), entry=entry)


def _among(order: Sequence[str], needed: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(each for each in order if needed is None or each in needed)


def unchanged(target: Target, context: Context) -> Remedy:
    """Return the target itself, to be changed in one place."""
    return Remedy(
        kind=RemedyKind.VARIABLES,
        name="",
        summary="",
        profile=target.profile,
        layout=target.layout,
        entry=target.entry,
        context=context,
    )
