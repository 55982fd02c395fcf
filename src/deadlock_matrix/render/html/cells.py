"""The cells of a report as rows of the grid, each with what it shows when it is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.recognise import NO_FINGERPRINT, Sighting, recognise
from deadlock_matrix.diagnosis.text import one_line, seconds
from deadlock_matrix.model.cell import AXES, Cell
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    Observation,
    ProbeFacts,
    Signalled,
    Stopped,
)
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.html.budget import Kept
from deadlock_matrix.render.html.choices import Choices
from deadlock_matrix.render.html.document import Common, Detail, Recognised, Row
from deadlock_matrix.render.html.imports import import_tree
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.last_words import last_words

_LEAST, _MOST = 400, 4000  # characters shown of an output
_OUTPUTS = 1_500_000  # and of all outputs and tracebacks of cells that are not ok
_PACKAGES = 12
_MOST_TOLD = 100  # different errors and crashes whose last words are shown in the list


class Details:
    """Makes details, and remembers what they share."""

    def __init__(self, report: Report, causes: Sequence[Cause], pools: Pools, kept: Kept) -> None:
        self._fingerprints = {each.name: each.fingerprint for each in report.interpreters}
        self._causes = causes
        self._pools = pools
        self._kept = kept
        bad = sum(result.verdict is not Verdict.OK for result in report.cells)
        self._told: set[tuple[Verdict, bool, str]] = set()
        self._tail = min(max(_OUTPUTS // (3 * max(bad, 1)), _LEAST), _MOST)

    def of(self, result: CellResult) -> Detail:
        """Return what a result shows when it is opened."""
        causes = tuple(self._recognised(result))
        gaps = result.judgement.gaps if result.judgement else ()
        told = tuple(one_line(f"{gap.subject}: {gap.detail}") for gap in gaps)
        found = result.observation
        if isinstance(found, Unknown):
            common = Common(facts=self._facts(_planned(result.cell)))
            return Detail(common=self._pools.common.add(common), causes=causes)
        return msgspec.structs.replace(
            self._observed(result, found.value),
            causes=causes,
            gaps=told,
            last_words=self._last_words(result),
            hung=self._kept.shown.get(result.cell.id),
            left_out=result.cell.id in self._kept.left_out,
        )

    def _observed(self, result: CellResult, seen: Observation) -> Detail:
        pools, healthy = self._pools, result.verdict is Verdict.OK
        size = _LEAST if healthy else self._tail
        probe = result.probe
        environment = sorted(f"{key}={value}" for key, value in seen.environment.items())
        common = Common(
            facts=self._facts((*_came_to(seen, probe), *_planned(result.cell))),
            environment=pools.list(environment),
            libraries=None if probe else self._mapped(result),
        )
        begun: tuple[float | None, ...] = ()
        if probe:
            common, begun = self._of_probe(common, probe)
        return Detail(
            common=pools.common.add(common),
            facts=self._facts(_measured(result, seen, probe)),
            begun=begun,
            stdout=_tail(seen.stdout.kept, size, pools),
            stderr=_tail(seen.stderr.kept, size, pools),
            # For a healthy cell it says nothing that the axes do not, and it is never the same.
            command=() if healthy else tuple(pools.text(part) for part in seen.command),
            raised=_raised(seen, size, pools),
        )

    def _of_probe(
        self, common: Common, probe: ProbeFacts
    ) -> tuple[Common, tuple[float | None, ...]]:
        libraries = probe.native_libraries
        most = sorted(probe.top_levels.items(), key=lambda item: (-item[1], item[0]))
        imports, begun = import_tree(probe.chains, probe.imported_s, self._pools)
        common = msgspec.structs.replace(
            common,
            imports=imports,
            packages=self._pools.list(f"{name} {number}" for name, number in most[:_PACKAGES]),
            libraries=(
                self._pools.list(libraries.value) if isinstance(libraries, Known) else libraries
            ),
        )
        return common, begun

    def _facts(self, facts: Iterable[tuple[str, str]]) -> tuple[int, ...]:
        return tuple(map(self._pools.facts.add, facts))

    def _last_words(self, result: CellResult) -> int | None:
        """Return them once for results that are listed together, and not without end."""
        key = result.verdict, result.as_expected, result.why
        if key in self._told or len(self._told) >= _MOST_TOLD:
            return None
        lines = tuple(last_words(result))
        if not lines:
            return None
        self._told.add(key)
        return self._pools.text("\n".join(lines))

    def _mapped(self, result: CellResult) -> int | Unknown | None:
        paths = self._kept.libraries.get(result.cell.id)
        return None if paths is None else self._pools.list(paths)

    def _recognised(self, result: CellResult) -> Iterator[Recognised]:
        fingerprint = self._fingerprints.get(result.cell.interpreter.name, NO_FINGERPRINT)
        for each in recognise(result, fingerprint, self._causes):
            yield Recognised(
                cause=self._causes.index(each.cause),
                certainty=each.certainty,
                seen=tuple(map(_sighting, each.seen)),
                unknown=tuple(map(_sighting, each.unknown)),
            )


def row(result: CellResult, choices: Choices, pools: Pools) -> Row:
    """Return one result as a row of the grid."""
    cell = result.cell
    values = {axis: choices.add(cell, axis) for axis in AXES}
    probe = result.probe
    return Row(
        **values,
        repeat=cell.repeat,
        verdict=result.verdict.value,
        as_expected=result.as_expected,
        seconds=round(probe.entry_s, 4) if probe else None,
        why=pools.text(result.why),
        role=cell.role.value,
    )


def _measured(
    result: CellResult, seen: Observation, probe: ProbeFacts | None
) -> Iterator[tuple[str, str]]:
    """Yield what differs from run to run."""
    if probe:
        yield "entry", seconds(probe.entry_s)
    yield "whole process", seconds(seen.duration_s)
    if result.detected_after_s is not None:
        yield "proved after", f"{seconds(result.detected_after_s)} without progress"
    if probe and isinstance(probe.peak_memory_kib, Known):
        yield "peak memory", f"{probe.peak_memory_kib.value / 1024:.0f} MiB"


def _came_to(seen: Observation, probe: ProbeFacts | None) -> Iterator[tuple[str, str]]:
    yield "reached", {"ended": "its end"}.get(seen.phase, f"phase {seen.phase}")
    yield "ended", _ended(seen)
    if probe:
        yield "modules", f"{probe.modules_before} before, {probe.modules_after} after the entry"
        threads = probe.threads
        told = ", ".join(threads.value) if isinstance(threads, Known) else f"? {threads.reason}"
        yield "threads", one_line(told)
    evidence = seen.evidence
    if isinstance(seen.end, Stopped) and type(evidence) is Unknown:
        yield "evidence", one_line(f"not known: {evidence.reason}")


def _ended(seen: Observation) -> str:
    if isinstance(seen.end, Exited):
        return f"by itself, with status {seen.end.status}"
    if isinstance(seen.end, Signalled):
        return f"by signal {seen.end.signal}"
    reasons = {"proved": "a deadlock was proved", "deadline": "its deadline passed"}
    return f"by the harness: {reasons.get(seen.end.reason, 'the run was interrupted')}"


def _planned(cell: Cell) -> Iterator[tuple[str, str]]:
    yield "expected", " or ".join(verdict.value for verdict in cell.expect)
    yield "deadline", seconds(cell.deadline_s)


def _raised(seen: Observation, size: int, pools: Pools) -> tuple[str, int] | None:
    if seen.raised is None:
        return None
    told = one_line(f"{seen.raised.type}: {seen.raised.message}"[:size])
    return told, _tail(seen.raised.traceback, size, pools) or pools.text("")


def _tail(text: str, size: int, pools: Pools) -> int | None:
    kept = text.rstrip()
    if not kept:
        return None
    cut = f"... {len(kept) - size} characters are left out\n" if len(kept) > size else ""
    return pools.text(cut + kept[-size:])


def _sighting(sighting: Sighting) -> str:
    return one_line(f"{sighting.what} ({sighting.detail})" if sighting.detail else sighting.what)
