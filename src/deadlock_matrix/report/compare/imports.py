"""Watched modules that an entry imports now and did not before, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.model.comparison import Change, ChangeKind
from deadlock_matrix.model.observation import CellResult, ImportStep, ProbeFacts
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.compare.pairing import Point


def compare_imports(point: Point) -> Iterator[Change]:
    """Yield modules that no run loaded on one side, and some run on the other.

    A module inside another one that changed in the same way is not listed separately.
    """
    before, after = _facts(point.before), _facts(point.after)
    if not before or not after:
        return
    changed: dict[str, bool] = {}  # module -> whether it is loaded now
    for module in sorted({name for facts in (*before, *after) for name in facts.watched}):
        old, new = _loaded(module, before), _loaded(module, after)
        if old is not None and new is not None and old != new:
            changed[module] = new
    for module, now in changed.items():
        if any(changed.get(outer) is now for outer in _packages(module)):
            continue
        kind = ChangeKind.NEWLY_IMPORTED if now else ChangeKind.NO_LONGER_IMPORTED
        loading = after if now else before
        how = _how(module, loading)
        some = sum(bool(_loads(module, each)) for each in loading)
        rate = "" if some == len(loading) else f" in {some} of {len(loading)} runs"
        word = "now" if now else "before, and not any more"
        yield Change(
            kind=kind,
            cell=point.id,
            before="not imported" if now else how,
            after=how if now else "not imported",
            sentence=f"{module} is imported {word}{rate}: {how}",
        )


def _facts(results: Sequence[CellResult]) -> tuple[ProbeFacts, ...]:
    """Return the facts of runs in which the entry finished: only they tell what it did not load."""
    return tuple(
        result.probe
        for result in results
        if result.verdict is Verdict.OK and result.probe is not None
    )


def _loaded(module: str, runs: Sequence[ProbeFacts]) -> bool | None:
    """Return whether any run loaded it; ``None`` if no run did and some are unknown."""
    answers = [_loads(module, facts) for facts in runs]
    if any(answers):
        return True
    return None if None in answers else False


def _loads(module: str, facts: ProbeFacts) -> bool | None:
    """Return whether the module was executed; a top-level package counts even if not watched."""
    if module in facts.watched:
        return facts.watched[module] > 0
    return None if "." in module else module in facts.top_levels


def _packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _how(module: str, runs: Sequence[ProbeFacts]) -> str:
    chains = [facts.chains[module] for facts in runs if facts.chains.get(module)]
    return _chain(chains[0]) if chains else "by a chain that was not recorded"


def _chain(chain: Sequence[ImportStep]) -> str:
    last = chain[-1]
    where = last.file.replace("\\", "/").rpartition("/")[2]
    return f"{' -> '.join(step.module for step in chain)} ({where}:{last.line})"
