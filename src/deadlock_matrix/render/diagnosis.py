"""A diagnosis for a terminal: the answer first, then what it rests on, then what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.statistics import CONFIDENCE
from deadlock_matrix.model.diagnosis import (
    Check,
    Diagnosis,
    Effect,
    ImportCost,
    Outcome,
    RemedyKind,
    Trial,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.render.plain import count, listed, one_line, printable, seconds

_SIGNS = {Effect.CURES: "+", Effect.CLEAN: "?", Effect.HELPS: "~"}
_KINDS = {
    RemedyKind.LAYOUT: "layout",
    RemedyKind.ENTRY: "entry",
    RemedyKind.CONTEXT: "calling it",
    RemedyKind.ORDER: "order",
}


def diagnosis_text(found: Diagnosis, written: Sequence[str] = (), width: int = 80) -> str:
    """The whole text; ``written`` are the files to point to at its end."""
    return "\n".join(_lines(found, written, width))


def _lines(found: Diagnosis, written: Sequence[str], width: int) -> Iterator[str]:
    yield f"{found.target.name}: {found.outcome.value}"
    yield from wrapped(found.sentence, width, "  ")
    for advice in found.advice:
        yield from wrapped(advice, width, "  ")
    if found.outcome in (Outcome.DEADLOCK, Outcome.HANG, Outcome.CLEAN):
        yield from _section("how sure", sureness(found), width)
    for note in found.notes:
        yield from wrapped(note, width, "  ", "    ")
    if found.imports:
        chain = [f"{'  ' * depth}{step}" for depth, step in enumerate(found.imports)]
        yield from ("", "imports under way", *(f"  {_kept(step)}" for step in chain))
    if found.involved:
        yield from _section("libraries that wait", found.involved, width)
    for cause in found.causes:
        yield from _section(f"known cause, {cause.certainty}: {cause.title}",
                            [cause.explanation, *cause.advice], width)  # fmt: skip
    if found.trials:
        yield from ("", "remedies, measured")
        yield from remedy_lines(found.trials, width)
    if found.outcome in (Outcome.DEADLOCK, Outcome.HANG):
        yield from ("", "what to do")
        yield from (f"  {line}" for line in _what_to_do(found, width - 2))
    if found.cost is not None:
        yield from _section("what the import costs", cost_lines(found.cost), width)
    if found.outcome not in (Outcome.FAILED, Outcome.UNAVAILABLE):
        yield from ("", "checklist, measured")
        for check in found.checklist:
            yield from wrapped(check_line(check), width, "  ", "      ")
    yield ""
    yield f"{count(found.runs, 'run')} in {seconds(found.duration_s)}"
    yield from (f"written: {path}" for path in written)


def sureness(found: Diagnosis) -> tuple[str, ...]:
    """How often it was run, and what that says about the rate."""
    if found.interval is not None:
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
        f"{_share(found.below)} of runs ({CONFIDENCE:.0%} confidence); --repeat N makes that less"
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
    return (f"called from, with the runs to find out: {', '.join(told)}",)


def remedy_lines(trials: Sequence[Trial], width: int) -> Iterator[str]:
    """A line for each remedy: what it is, what it does, what it costs."""
    name = max(len(each.remedy.name) for each in trials)
    for trial in trials:
        sign = _SIGNS.get(trial.effect, "-")
        yield from wrapped(
            f"{sign} {trial.remedy.name:<{name}}  {effect_text(trial)}", width, "  ",
            " " * (name + 6),
        )  # fmt: skip


def effect_text(trial: Trial) -> str:
    """``cures: 5 runs clean, 5 needed; import 0.2 s; threads 3 -> 1``."""
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


def cure_lines(cure: Trial, base: dict[str, str]) -> tuple[str, ...]:
    """The lines to paste, or what to change."""
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
        lines = remedy.entry.statement.strip("\n").splitlines()
        return (first, *(f"    {line}" for line in lines))
    what = _KINDS[remedy.kind]
    return (
        f"{what} {remedy.name}: {remedy.summary}" if remedy.summary else f"{what} {remedy.name}",
    )


def _what_to_do(found: Diagnosis, width: int) -> Iterator[str]:
    cure = found.cure
    if cure is None:
        yield from wrapped(_no_cure(found), width, "")
    else:
        yield from wrapped(f"{cure.remedy.name} {effect_text(cure)}", width, "")
        yield from cure_lines(cure, found.target.profile.set)
    yield from wrapped(minimised_text(found), width, "")
    if found.statements is not None:
        yield from wrapped(
            f"it takes {listed([f'`{each}`' for each in found.statements.elements])}, in this "
            f"order, of {count(found.statements.out_of, 'import')}, to hang",
            width, "",
        )  # fmt: skip
    reproducer = found.reproducer
    if reproducer is not None:
        alone = reproducer.alone
        told = alone.value if isinstance(alone, Known) else alone.reason
        yield from wrapped(f"the reproducer was run alone: {told}", width, "")


def _no_cure(found: Diagnosis) -> str:
    if not found.rate.hangs:
        return "it hung once and not again, so nothing can be said about remedies"
    clean = [each.remedy.name for each in found.trials if each.effect is Effect.CLEAN]
    if clean:
        return (
            f"{listed(clean)} came out clean, in too few runs to call that a cure; "
            "--budget SECONDS leaves more time"
        )
    if all(each.effect is Effect.UNTRIED for each in found.trials) and found.trials:
        return "nothing was tried for want of time; --budget SECONDS leaves more"
    if any(each.effect is Effect.UNTRIED for each in found.trials):
        return "nothing that was tried cures it; --budget SECONDS leaves time for the rest"
    return "nothing that was tried cures it: the program itself has to change"


def minimised_text(found: Diagnosis) -> str:
    """What became of the variables of the remedy that sets the most."""
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


def cost_lines(cost: ImportCost) -> tuple[str, ...]:
    """Seconds, modules, and who imports the heavy packages."""
    lines = [f"{seconds(cost.seconds)} (median of {count(cost.runs, 'run')}), "
             f"{count(cost.modules, 'module')}"]  # fmt: skip
    for each in cost.heavy:
        by = (
            f", imported by {each.imported_by.value}" if isinstance(each.imported_by, Known) else ""
        )
        lines.append(f"{each.name}: {count(each.modules, 'module')}{by}")
    return tuple(lines)


def check_line(check: Check) -> str:
    """``[x] torch is installed: torch 2.13``; ``[?]`` with the reason where nobody knows."""
    if not isinstance(check.holds, Known):
        return f"[?] {check.text}: not known, {check.holds.reason}"
    box = "[x]" if check.holds.value else "[ ]"
    return f"{box} {check.text}" + (f": {check.detail}" if check.detail else "")


def wrapped(text: str, width: int, indent: str, further: str | None = None) -> Iterator[str]:
    """Lines of at most ``width``; a word that is longer stays whole, to be copied."""
    yield from textwrap.wrap(
        _kept(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _kept(text: str) -> str:
    """One printable line, with spaces as they are: they make columns."""
    return printable(text).replace("\n", " ")


def _section(title: str, lines: Sequence[str], width: int) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield from wrapped(title, width, "")
    for line in lines:
        yield from wrapped(line, width, "  ", "    ")


def _share(value: float) -> str:
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"
