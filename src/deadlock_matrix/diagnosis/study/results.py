"""The results of one interpreter, requested by what a claim needs of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from deadlock_matrix.diagnosis.cures import BASELINE
from deadlock_matrix.diagnosis.endings import HANGS
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult, ProbeFacts
from deadlock_matrix.model.verdict import Verdict

_Place = tuple[str, str, str, str]  # profile, layout, entry, context


class NotShown(Exception):
    """What was run, or could be read, does not show whether a claim holds. The message says why."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was run on one interpreter.

    ``layout`` is the one that is meant if none is named. ``others`` are the results of the other
    interpreters of the same report. ``used`` collects the ids of the cells that were requested.
    """

    interpreter: str
    fingerprint: Known[Fingerprint] | Unknown
    results: tuple[CellResult, ...]
    layout: str
    others: tuple[Results, ...] = ()
    used: list[str] = field(default_factory=list)
    _by_place: dict[_Place, list[CellResult]] = field(default_factory=dict, repr=False)

    def fresh(self) -> Results:
        """Return the same results, none of which has been used yet."""
        others = tuple(other.fresh() for other in self.others)
        return Results(
            interpreter=self.interpreter,
            fingerprint=self.fingerprint,
            results=self.results,
            layout=self.layout,
            others=others,
            _by_place=self._places(),
        )

    def cells(
        self, entry: str, *, layout: str = "", profile: str = BASELINE, context: str = "main"
    ) -> list[CellResult]:
        """Return all runs of one point of the matrix.

        Raises:
            NotShown: It was not run, or could not be.
        """
        wanted = (profile, layout or self.layout, entry, context)
        found = self._places().get(wanted, [])
        if not found:
            raise NotShown(f"no cell {'/'.join(wanted)} was run")
        self.used.extend(result.cell.id for result in found)
        if found[0].verdict is Verdict.UNAVAILABLE:
            raise NotShown(found[0].why)
        return found

    def _places(self) -> dict[_Place, list[CellResult]]:
        if not self._by_place:
            for result in self.results:
                self._by_place.setdefault(_place(result), []).append(result)
        return self._by_place

    def verdicts(self, entry: str, **axes: str) -> set[Verdict]:
        """Return the verdicts of one point; raise as `cells`."""
        return {result.verdict for result in self.cells(entry, **axes)}

    def hangs(self, entry: str, **axes: str) -> bool:
        """Return whether a run of one point hung, all others being ok; raise as `cells`.

        Raises:
            NotShown: Also if it failed in another way.
        """
        verdicts = self.verdicts(entry, **axes)
        if odd := verdicts - {Verdict.OK, *HANGS}:
            raise NotShown(f"{entry} came out as {', '.join(sorted(odd))}")
        return bool(verdicts & set(HANGS))

    def facts(self, entry: str, **axes: str) -> list[ProbeFacts]:
        """Return what the probes of one point reported, if all have ended; raise as `cells`.

        Raises:
            NotShown: Also if one of them did not get that far.
        """
        found = []
        for result in self.cells(entry, **axes):
            facts = result.probe
            if facts is None or result.verdict is not Verdict.OK:
                raise NotShown(f"{result.cell.id}: {result.why}")
            found.append(facts)
        return found

    def threads(self, entry: str, **axes: str) -> int:
        """Return the most threads that a run of one point had in the end; raise as `facts`."""
        counts = []
        for facts in self.facts(entry, **axes):
            if isinstance(facts.threads, Unknown):
                raise NotShown(facts.threads.reason)
            counts.append(len(facts.threads.value))
        return max(counts)

    def identified(self) -> Fingerprint:
        """Return what the interpreter is.

        Raises:
            NotShown: It is not known.
        """
        if isinstance(self.fingerprint, Unknown):
            raise NotShown(self.fingerprint.reason)
        return self.fingerprint.value


def _place(result: CellResult) -> _Place:
    cell = result.cell
    return cell.profile.name, cell.layout.name, cell.entry.name, cell.context.name
