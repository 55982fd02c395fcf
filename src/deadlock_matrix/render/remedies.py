"""Remedies for a terminal: what was measured of each, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.endings import was_interrupted
from deadlock_matrix.diagnosis.investigation.changes import AFTER, AFTER_IMPORT
from deadlock_matrix.diagnosis.investigation.statements import shown_text, split
from deadlock_matrix.diagnosis.text import count, listed, one_line, seconds
from deadlock_matrix.model.diagnosis import (
    Change,
    Diagnosis,
    Effect,
    KnownRemedy,
    RemedyKind,
    Reproducer,
    Trial,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.render.wrapping import kept, wrapped

_SIGNS = {Effect.CURES: "+", Effect.CLEAN: "?", Effect.HELPS: "~"}
_KINDS = {
    RemedyKind.LAYOUT: "layout",
    RemedyKind.ENTRY: "entry",
    RemedyKind.CONTEXT: "calling it",
    RemedyKind.ORDER: "order",
}


def remedy_lines(trials: Sequence[Trial], width: int) -> Iterator[str]:
    """Yield a line for each remedy: what it is, what it does, what it costs."""
    name = max(len(each.remedy.name) for each in trials)
    for trial in trials:
        sign = _SIGNS.get(trial.effect, "-")
        yield from wrapped(
            f"{sign} {trial.remedy.name:<{name}}  {effect_text(trial)}", width, "  ",
            " " * (name + 6),
        )  # fmt: skip


def effect_text(trial: Trial) -> str:
    """Return ``cures: 5 runs clean, 5 needed; import 0.2 s; threads 3 -> 1``."""
    rate = trial.rate
    match trial.effect:
        case Effect.CURES | Effect.CLEAN:
            parts = [
                f"{trial.effect.value}: {count(rate.runs, 'run')} clean, {trial.needed} needed"
            ]
            if isinstance(trial.entry_s, Known):
                parts.append(f"takes {seconds(trial.entry_s.value)}")
            before, after = trial.threads.before, trial.threads.after
            if isinstance(before, Known) and isinstance(after, Known):
                parts.append(f"threads {before.value} -> {after.value}")
            return "; ".join(parts)
        case Effect.UNTRIED:
            return "not tried: no time was left"
        case Effect.FAILS | Effect.SLOW:
            return f"{trial.effect.value}: {one_line(trial.why)[:160]}"
    return f"{trial.effect.value}: hung in {rate.hangs} of {count(rate.runs, 'run')}"


def what_to_do(found: Diagnosis, width: int) -> Iterator[str]:
    """Yield the answer to a hang: what cures it, or helps against its cause, and the script."""
    cure = found.cure
    if cure is None:
        yield from wrapped(_no_cure(found), width, "")
        yield from against_the_cause(found, width)
    else:
        yield from wrapped(f"{cure.remedy.name} {effect_text(cure)}", width, "")
        yield from cure_lines(cure, found.target.profile.set)
    for change in untried_changes(found):
        yield from wrapped(f"{change.why} (not tried):", width, "")
        yield from change_lines(change)
    yield from wrapped(minimised_text(found), width, "")
    yield from wrapped(needed_imports(found), width, "")
    reproducer = found.reproducer
    if reproducer is not None:
        for line in reproducer_lines(reproducer):
            yield from wrapped(line, width, "")


def against_the_cause(found: Diagnosis, width: int) -> Iterator[str]:
    """Yield what is known to help against the recognised causes."""
    for remedy in known_remedies(found):
        yield from wrapped(remedy.advice, width, "", "  ")
        yield from (f"    {kept(line)}" for line in remedy.code.strip("\n").splitlines())


def cure_lines(cure: Trial, base: dict[str, str]) -> tuple[str, ...]:
    """Return the lines to paste, or what to change."""
    remedy = cure.remedy
    if remedy.kind is RemedyKind.VARIABLES:
        new = {k: v for k, v in remedy.profile.set.items() if base.get(k) != v}
        if not new:
            return ("in the shell, before Python starts:",
                    *(f"    unset {name}" for name in remedy.profile.unset))  # fmt: skip
        return (
            "in the shell, before Python starts:",
            *(f"    export {name}={value}" for name, value in new.items()),
            "or as the first lines of the program, before any other import:",
            "    import os",
            *(f'    os.environ["{name}"] = "{value}"' for name, value in new.items()),
        )
    if remedy.kind in (RemedyKind.ORDER, RemedyKind.ENTRY):
        first = (
            "import in this order:" if remedy.kind is RemedyKind.ORDER else "import it like this:"
        )
        statement = remedy.entry.statement
        text = shown_text(statement)
        if text != statement:  # of a script, only what changes
            text = "\n".join(split(text).imports)
        return (first, *(f"    {line}" for line in text.strip("\n").splitlines()))
    if remedy.change is not None:
        call = remedy.change.call
        after = (f"and call {call}() when the import has ended",) if call else ()
        if remedy.change.name == AFTER_IMPORT and not call:
            after = (f"{AFTER}() was not called in these runs: a call of it may hang",)
        return (*change_lines(remedy.change), *after)
    if remedy.kind is RemedyKind.CONTEXT and remedy.summary:
        return (f"use it like this: {remedy.summary}",)
    what = _KINDS[remedy.kind]
    return (
        f"{what} {remedy.name}: {remedy.summary}" if remedy.summary else f"{what} {remedy.name}",
    )


def change_lines(change: Change) -> Iterator[str]:
    """Yield a change of the source as readers of patches know it."""
    yield f"{one_line(change.file)}:{change.line}"
    before, after = list(change.before), list(change.after)
    while before and after and before[0] == after[0]:
        yield f"      {kept(before.pop(0))}"
        after.pop(0)
    yield from (f"    - {kept(line)}" for line in before)
    yield from (f"    + {kept(line)}" for line in after)


def known_remedies(found: Diagnosis) -> tuple[KnownRemedy, ...]:
    """Return what helps against the recognised causes; only confirmed remedies if there are any."""
    remedies = [
        remedy
        for cause in found.causes
        if cause.certainty == "recognised"
        for remedy in cause.remedies
    ]
    return tuple(each for each in remedies if each.confirmed) or tuple(remedies)


def untried_changes(found: Diagnosis) -> tuple[Change, ...]:
    """Return changes of the source whose effect a run would not show."""
    return tuple(each for each in found.changes if not each.tried)


def _no_cure(found: Diagnosis) -> str:
    if was_interrupted(found.result):
        return "let it run until its deadline: only then is it known whether it hangs"
    if not found.rate.hangs:
        again = "and not again" if found.rate.runs else "and was not run again"
        return f"it hung once {again}, so nothing can be said about remedies"
    clean = [each.remedy.name for each in found.trials if each.effect is Effect.CLEAN]
    if clean:
        return (
            f"{listed(clean)} did not hang, but in too few runs to call that a cure; --budget "
            "SECONDS allows more runs"
        )
    if all(each.effect is Effect.UNTRIED for each in found.trials) and found.trials:
        return "there was no time to try anything; --budget SECONDS allows more"
    if any(each.effect is Effect.UNTRIED for each in found.trials):
        return "nothing that was tried cures it; --budget SECONDS allows time for the rest"
    if known_remedies(found):
        return "no setting cures it; this helps against the cause:"
    if not found.trials:
        return (
            "no setting and no other way of calling it would matter: the program itself has to "
            "change"
        )
    return "nothing that was tried cures it: the program itself has to change"


def needed_imports(found: Diagnosis) -> str:
    """Return which of the imports are needed for the hang; empty if nobody looked."""
    if found.statements is None:
        return ""
    elements = [f"`{each}`" for each in found.statements.elements]
    whole = "it takes" if found.statements.whole else "it takes at most"
    order = ", in this order," if len(elements) > 1 else ""
    of = count(found.statements.out_of, "import")
    return f"of {of} {whole} {listed(elements) or 'none'}{order} to hang"


def minimised_text(found: Diagnosis) -> str:
    """Return what became of the variables of the remedy that sets the most."""
    variables = found.variables
    if variables is None or variables.out_of < 2:
        return ""
    if not variables.whole:
        return f"there was no time to find out which variables of {variables.of} are needed"
    if len(variables.elements) == variables.out_of:
        return f"all {variables.out_of} variables of {variables.of} are needed"
    return (
        f"of the {variables.out_of} variables of {variables.of}, {listed(variables.elements)} "
        "suffices" + (" alone" if len(variables.elements) == 1 else "")
    )


def reproducer_lines(reproducer: Reproducer) -> Iterator[str]:
    """Yield what the script did when it was run alone, and what it lacks."""
    alone = reproducer.alone
    told = alone.value if isinstance(alone, Known) else alone.reason
    yield f"the script, run in an empty folder without any environment variable: {one_line(told)}"
    needed = reproducer.variables
    if needed is not None and not needed.elements:
        yield f"it was not found out which of {needed.out_of} variables it needs"
    elif needed is not None:
        yield (
            f"of {needed.out_of} variables it needs {listed(needed.elements)}, and sets them itself"
        )
    yield from (f"the script lacks: {one_line(each)}" for each in reproducer.missing)
