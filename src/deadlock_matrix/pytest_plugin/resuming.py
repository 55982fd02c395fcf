"""Which cells of the plan already have a result, from an earlier run that is resumed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import pytest

from deadlock_matrix.grid.announcement import Planned
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.report.earlier import (
    Earlier,
    Rerun,
    holding,
    read_earlier,
    require_the_same,
    without_needless_controls,
)
from deadlock_matrix.report.plan import Plan, session_s
from deadlock_matrix.report.private import redact_plan
from deadlock_matrix.report.redaction import Redaction
from deadlock_matrix.report.sameness import Circumstances


class Start(NamedTuple):
    """How a run begins.

    Attributes:
        plan: Its plan; a resumed run keeps its name and beginning.
        folder: Where the run goes on; ``None`` for a new one.
        done: Ids of cells and controls that have a result.
        taken: Results to write into a new run's journal, and the folder that has their evidence.
    """

    plan: Plan
    folder: Path | None = None
    done: frozenset[str] = frozenset()
    taken: tuple[CellResult, ...] = ()
    origin: Path | None = None


def start(
    config: pytest.Config,
    plan: Plan,
    redaction: Redaction,
    elsewhere: Mapping[str, Planned] = MappingProxyType({}),
) -> Start:
    """Begin anew, or where an earlier run ended.

    Args:
        config: The session's.
        plan: What would be run.
        redaction: The run's.
        elsewhere: The interpreters of other machines, by name.

    Raises:
        pytest.UsageError: Options contradict each other.
        ReportError: The earlier run cannot be read, or cannot be resumed.
    """
    given = config.getoption("deadlock_matrix_resume")
    rerun = config.getoption("deadlock_matrix_rerun")
    only_changed = config.getoption("deadlock_matrix_only_changed")
    if given is None:
        if rerun or only_changed:
            option = "--rerun" if rerun else "--only-changed"
            raise pytest.UsageError(f"{option} needs an earlier run: name it with --resume")
        return Start(plan)
    earlier = read_earlier(config.invocation_params.dir / given)
    redacted = redact_plan(plan, redaction)
    ids = {new.id: old.id for new, old in zip(_all(redacted), _all(plan), strict=True)}
    held = holding(
        earlier.report, _all(redacted), _circumstances(plan, redacted, redaction, elsewhere)
    )
    if not rerun and not only_changed:
        require_the_same(earlier, held)
        if _can_go_on(config, earlier, plan):
            return _go_on(earlier, plan, ids)
    results = [each for each in held.results if not rerun or not Rerun(rerun).wants(each)]
    kept = {each.id for each in without_needless_controls(results, _all(redacted))}
    taken = tuple(each for each in results if each.cell.id in kept)
    done = frozenset(ids[each.cell.id] for each in taken)
    return Start(plan, done=done, taken=taken, origin=earlier.folder)


def _can_go_on(config: pytest.Config, earlier: Earlier, plan: Plan) -> bool:
    """Return whether to resume in its own folder: a report has one host, and a folder one run."""
    folder = config.getoption("deadlock_matrix_report")
    elsewhere = folder is not None and (
        Path(config.invocation_params.dir, folder).resolve() != earlier.folder.resolve()
    )
    return earlier.plan is not None and earlier.plan.host == plan.host and not elsewhere


def _go_on(earlier: Earlier, plan: Plan, ids: dict[str, str]) -> Start:
    assert earlier.plan is not None
    report = earlier.report
    have = {each.cell.id for each in (*report.cells, *report.controls)}
    plan = msgspec.structs.replace(
        plan,
        run=earlier.plan.run,
        started=earlier.plan.started,
        arguments=earlier.plan.arguments,
        machines=earlier.plan.machines | plan.machines,
        notes=earlier.plan.notes,
        spent_s=earlier.plan.spent_s + session_s(earlier.folder),
    )
    done = frozenset(old for new, old in ids.items() if new in have)
    return Start(plan, folder=earlier.folder, done=done)


def _circumstances(
    plan: Plan, redacted: Plan, redaction: Redaction, elsewhere: Mapping[str, Planned]
) -> Callable[[Cell], Circumstances]:
    from deadlock_matrix.matrix.contents import content_key, searches_elsewhere
    from deadlock_matrix.run.environment import make_environment, recorded

    facts = {each.name: each for each in redacted.interpreters}
    originals = {new.id: old for new, old in zip(_all(redacted), _all(plan), strict=True)}

    @cache
    def environment(interpreter: str, profile: str, id_: str) -> dict[str, str]:
        cell = originals[id_]
        there = elsewhere.get(cell.interpreter.name)
        around = os.environ if there is None else there.environment
        own = Path(sys.executable).parent
        made = make_environment(cell.interpreter, cell.profile, around, own)
        return redaction.apply(recorded(made, cell.interpreter, cell.profile))

    first: dict[tuple[str, str], str] = {}

    def now(cell: Cell) -> Circumstances:
        key = cell.interpreter.name, cell.profile.name
        there = elsewhere.get(originals[cell.id].interpreter.name)
        content = plan.contents.get(content_key(originals[cell.id]), "")
        return Circumstances(
            tool=plan.tool,
            host=plan.host if there is None or there.host is None else there.host,
            facts=facts.get(cell.interpreter.name),
            content="" if searches_elsewhere(originals[cell.id]) else content,
            environment=environment(*key, first.setdefault(key, cell.id)),
        )

    return now


def _all(plan: Plan) -> tuple[Cell, ...]:
    return (*plan.controls, *plan.cells)
