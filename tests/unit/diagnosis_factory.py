"""Made-up results of runs, and a bench that makes them up as it goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.diagnosis import Target
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    Leftovers,
    Observation,
    Output,
    Phase,
    ProbeFacts,
    Raised,
    Signalled,
    Stopped,
)
from deadlock_matrix.model.verdict import Gap, Judgement, Verdict

MAIN = Context(name="main")
EMPTY = Output(size=0, kept="")


def make_target(
    statement: str = "import mine",
    contexts: tuple[Context, ...] = (MAIN,),
    profiles: tuple[Profile, ...] = (),
    *,
    name: str = "mine",
    runs: int = 10,
    layouts: tuple[Layout, ...] = (),
    entries: tuple[Entry, ...] = (),
    script: str = "",
) -> Target:
    """Something to diagnose."""
    return Target(
        name=name,
        interpreter=Interpreter(name="python", executable="/usr/bin/python3"),
        profile=Profile(name="as-it-is"),
        layout=Layout(name="installed"),
        entry=Entry(name="asked", statement=statement),
        contexts=contexts,
        other_profiles=profiles,
        other_layouts=layouts,
        other_entries=entries,
        runs=runs,
        script=script,
    )


def make_cell(target: Target | None = None, context: Context = MAIN) -> Cell:
    """A cell of it."""
    target = target or make_target()
    return Cell(
        target=target.name,
        interpreter=target.interpreter,
        profile=target.profile,
        layout=target.layout,
        entry=target.entry,
        context=context,
    )


def make_facts(
    entry_s: float = 0.25,
    top_levels: dict[str, int] | None = None,
    watched: dict[str, int] | None = None,
) -> ProbeFacts:
    """What a probe tells that has come to its end."""
    return ProbeFacts(
        python="3.12.1",
        entry_s=entry_s,
        prelude_s=0.0,
        modules_before=40,
        modules_after=40 + sum((top_levels or {}).values()),
        top_levels=top_levels or {},
        watched=watched or {},
        chains={},
        imported_s={},
        own_modules=(),
        native_libraries=unknown("nobody looked"),
        threads=known(("python",), "made up"),
        python_threads=1,
        peak_memory_kib=unknown("nobody looked"),
    )


def make_result(
    cell: Cell,
    verdict: Verdict,
    *,
    raised: Raised | None = None,
    status: int = 0,
    phase: Phase = "ended",
    stderr: str = "",
    facts: ProbeFacts | None = None,
    duration_s: float = 0.3,
    gaps: tuple[Gap, ...] = (),
    why: str = "made up",
) -> CellResult:
    """A run that came out so."""
    end: Exited | Signalled | Stopped = Exited(status=status)
    judgement = None
    if verdict in (Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW):
        end = Stopped(reason="proved" if verdict is Verdict.DEADLOCK else "deadline")
        judgement = Judgement(outcome="not-proved", proof=None, gaps=gaps)
    if verdict is Verdict.CRASH:
        end = Signalled(signal=11)
    told = facts or (make_facts() if verdict is Verdict.OK else None)
    observation = Observation(
        phase=phase,
        end=end,
        duration_s=duration_s,
        last_progress_s=known(0.1, "made up"),
        probe=known(told, "made up") if told else unknown("it did not come so far"),
        raised=raised,
        stdout=EMPTY,
        stderr=Output(size=len(stderr), kept=stderr),
        evidence=unknown("made up"),
        leftovers=Leftovers(ended=0, alive=()),
        command=(),
    )
    return CellResult(
        cell=cell,
        verdict=verdict,
        why=why,
        observation=known(observation, "made up"),
        judgement=judgement,
    )


class MadeUpBench:
    """Hangs with the chance that ``chance_of`` gives a cell; time passes by the run."""

    jobs = 2

    def __init__(
        self,
        chance_of: Callable[[Cell], float],
        seed: int = 1,
        *,
        budget_runs: int = 10_000,
    ) -> None:
        self.chance_of = chance_of
        self.random = random.Random(seed)
        self.ran: list[Cell] = []
        self.told: list[str] = []
        self.budget_runs = budget_runs

    def run(self, cells: Sequence[Cell]) -> Sequence[CellResult]:
        self.ran += cells
        return [self._run(cell) for cell in cells]

    def _run(self, cell: Cell) -> CellResult:
        hangs = self.random.random() < self.chance_of(cell)
        return make_result(cell, Verdict.DEADLOCK if hangs else Verdict.OK)

    def left_s(self) -> float:
        return float(self.budget_runs - len(self.ran))

    def tell(self, text: str) -> None:
        self.told.append(text)
