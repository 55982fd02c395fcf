"""The questions that people ask about any hang, each answered by what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.endings import threads_when_hung
from deadlock_matrix.diagnosis.involved import imports_under_way
from deadlock_matrix.model.diagnosis import Check, RemedyKind, Trial
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers come from: the run that decides, and other runs that ended."""

    result: CellResult
    clean: Sequence[CellResult]
    fingerprint: Known[Fingerprint] | Unknown
    trials: Sequence[Trial]


def checklist(measured: Measurements) -> tuple[Check, ...]:
    """Return all questions, in the order in which one would ask them."""
    return tuple(_checks(measured))


def _checks(measured: Measurements) -> Iterator[Check]:
    if measured.result.judgement is not None:
        yield _threads(measured.result)
        yield _import(measured.result)
    yield _second_import(measured.clean)
    yield _variables(measured.result)
    yield _smaller_import(measured.trials)


def _threads(result: CellResult) -> Check:
    threads = threads_when_hung(result)
    text = "it had several threads when it hung"
    if isinstance(threads, Unknown):
        return Check(text=text, holds=threads, detail="")
    return Check(
        text=text, holds=known(threads.value > 1, threads.source), detail=f"{threads.value}"
    )


def _import(result: CellResult) -> Check:
    chain = imports_under_way(result)
    return Check(
        text="an import was under way",
        holds=known(bool(chain), "the Python stacks of the hung process"),
        detail=f"{len(chain)} deep, the innermost {chain[-1]}" if chain else "",
    )


def _second_import(clean: Sequence[CellResult]) -> Check:
    """Say how often each watched module's file was executed; importing again executes nothing."""
    text = "a module's file is executed a second time"
    facts = [each.probe for each in clean if each.probe is not None]
    if not facts:
        return Check(text=text, holds=unknown("no run ended, so nobody counted"), detail="")
    most = {name: max(each.watched.get(name, 0) for each in facts)
            for each in facts for name in each.watched}  # fmt: skip
    executed = {name: times for name, times in most.items() if times}
    return Check(
        text=text,
        holds=known(any(times > 1 for times in executed.values()), "a finder in runs that ended"),
        detail=", ".join(f"{name} {_times(times)}" for name, times in executed.items())
        or "none of the modules that were watched was imported",
    )


def _variables(result: CellResult) -> Check:
    text = "variables that matter are set before Python starts"
    seen = result.seen
    if seen is None:
        return Check(text=text, holds=unknown(result.why), detail="")
    told = ", ".join(f"{name}={value}" for name, value in seen.environment.items()
                     if name != "PYTHONPATH")  # fmt: skip
    return Check(
        text=text, holds=known(bool(told), "the probe's environment"), detail=told or "none"
    )


def _smaller_import(trials: Sequence[Trial]) -> Check:
    kinds = (RemedyKind.ENTRY, RemedyKind.LAYOUT, RemedyKind.ORDER)
    tried = [each for each in trials if each.remedy.kind in kinds and each.rate.runs]
    return Check(
        text="importing less, later or in another order was tried",
        holds=known(bool(tried), "the remedies that were run"),
        detail=", ".join(f"{each.remedy.name}: {each.effect.value}" for each in tried),
    )


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
