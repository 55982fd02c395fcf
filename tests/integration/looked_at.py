"""Healthy programs under ``watch``, inspected too: what was said of them while they ran."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from integration.cells import Python, cell_of, missing
from scenarios.scenario import Scenario

from deadlock_matrix.app.api import inspect
from deadlock_matrix.app.watch import watch_command
from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import CaptureError, Unavailable
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.verdict import Judgement, Outcome
from deadlock_matrix.run.process import Order
from deadlock_matrix.run.watchdog import Watched

PAUSE_S = 1.0
"""At most, between two inspections of one program."""

FROM_WEAK_TO_STRONG: tuple[Outcome, ...] = (
    "not-proved",
    "likely-partial",
    "likely",
    "partial",
    "deadlock",
)
OF_A_CHILD: dict[Outcome, Outcome] = {"deadlock": "partial", "likely": "likely-partial"}
"""What is said of the whole of a child is said of a part of the program."""


@dataclass(frozen=True)
class Said:
    """How often each outcome was said of a program, by ``watch`` or ``inspect``."""

    scenario: Scenario
    times: Counter[tuple[str, Outcome]]

    def problems(self) -> list[str]:
        """What is stronger than may be said of it."""
        allowed = FROM_WEAK_TO_STRONG.index(self.scenario.meanwhile)
        return [
            f"{self.scenario.name}: {by} said {outcome}, and not {self.scenario.meanwhile}"
            for (by, outcome), _ in sorted(self.times.items())
            if FROM_WEAK_TO_STRONG.index(outcome) > allowed
        ]


class _Notes:
    """What is said of a program; it is the onlooker of ``watch``."""

    def __init__(self) -> None:
        self.times: Counter[tuple[str, Outcome]] = Counter()
        self.began = threading.Event()
        self.pid = 0

    def started(self, pid: int) -> None:
        self.pid = pid
        self.began.set()

    def wants_end(self) -> bool:
        return False

    def found_stuck(self, collector: Collector, evidence: Evidence, judgement: Judgement) -> None:
        self.times["watch", judgement.outcome] += 1

    def ended(self, collector: Collector, watched: Watched) -> None:
        if watched.judgement is not None:
            self.times["watch", watched.judgement.outcome] += 1

    def lets_go_on(self, watched: Watched) -> bool:
        return False


def look_at_all(scenarios: Iterable[Scenario], python: Python, at_once: int) -> list[Said]:
    """Look at each, as long as it runs; without those that cannot be run here."""
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(at_once) as pool:
        said = [*pool.map(lambda scenario: look_at(scenario, python, Path(cache)), scenarios)]
    return [each for each in said if each is not None]


def look_at(scenario: Scenario, python: Python, cache: Path) -> Said | None:
    """Run it once; None: it cannot be run here."""
    if missing(scenario, python):
        return None
    try:
        cell = cell_of(scenario, python, cache)
    except Unavailable:
        return None
    (folder,) = cell.layout.overlays
    code = f"import sys; sys.path.insert(0, {folder!r})\n{scenario.statement}"
    notes = _Notes()
    with Path("/dev/null").open("r+b", buffering=0) as null, _inspected(notes):
        order = Order(
            command=(python.executable, "-c", code),
            environment={**os.environ, **scenario.environment},
            folder=cache,
            streams=(null.fileno(),) * 3,
        )
        watch_command(order, notes, timeout_s=cell.deadline_s, likely=False)
    return Said(scenario, notes.times)


@contextmanager
def _inspected(notes: _Notes) -> Iterator[None]:
    """Inspect the program or one of its children, again and again."""
    over = threading.Event()

    def inspect_them() -> None:
        notes.began.wait()
        while not over.wait(random.uniform(0, PAUSE_S)):
            try:
                children = psutil.Process(notes.pid).children(recursive=True)
                pid = random.choice([notes.pid, *(child.pid for child in children)])
                outcome = inspect(pid).outcome
            except (CaptureError, psutil.NoSuchProcess):
                continue  # it has just ended
            if pid != notes.pid:
                outcome = OF_A_CHILD.get(outcome, outcome)
            notes.times["inspect", outcome] += 1

    thread = threading.Thread(target=inspect_them)
    thread.start()
    try:
        yield
    finally:
        over.set()
        notes.began.set()
        thread.join()
