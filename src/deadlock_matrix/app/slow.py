"""Where a slow import spends its time, and what importing less saves, found by trying it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from deadlock_matrix.app.options import Options
from deadlock_matrix.app.source_text import SourceTexts
from deadlock_matrix.diagnosis.investigation.changes import after_import, main_guard
from deadlock_matrix.diagnosis.investigation.remedies import remedied
from deadlock_matrix.diagnosis.investigation.statements import text_of
from deadlock_matrix.diagnosis.investigation.times import lazily, times_of, worth_putting_off
from deadlock_matrix.diagnosis.stuck import heaviest, lines_of
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.diagnosis import (
    ImportTime,
    Remedy,
    Saving,
    Stuck,
    Target,
    Times,
)
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.experiment import Experiment

MORE_S = 5.0
"""A run that saves nothing may take this much longer than the first."""


def account_for(
    result: CellResult,
    target: Target,
    texts: SourceTexts,
    options: Options,
    folders: Sequence[Path],
    experiment: Experiment,
    causes: frozenset[str] = frozenset(),
) -> Times | None:
    """Return what the samples of the first run show; ``None`` if none were taken.

    Args:
        result: That run.
        target: What was run.
        texts: Reads the user's files.
        options: Makes copies of packages with a change in them.
        folders: Where the user's modules are looked for first.
        experiment: Has the samples, and runs what is tried.
        causes: The names of the known causes that were recognised.
    """
    samples = experiment.sampler.samples()
    seen = result.seen
    if not samples or seen is None:
        return None
    facts = result.probe
    seconds = facts.entry_s if facts is not None else seen.duration_s
    own = imported_package(text_of(target))
    times = _with_texts(times_of(samples, seconds, own), texts)
    modules = worth_putting_off(times, own)
    if experiment.left_s() <= 0:
        return times
    if modules:
        return replace(times, saving=_try_lazily(result, modules, seconds, experiment))
    place = heaviest(samples)
    assert place is not None
    stuck = texts.fill([Stuck(thread="", does="", lines=lines_of(place.frames, own))])
    if target.script:  # nobody imports it
        changes = main_guard(causes, stuck, texts.files_of(stuck))
    else:
        changes = after_import(stuck, texts.files_of(stuck))
    for change in changes:
        for remedy in options.changed(change, result.cell.context, folders):
            return replace(times, saving=_try_change(result, remedy, seconds, experiment))
    return times


def _try_change(
    result: CellResult, remedy: Remedy, seconds: float, experiment: Experiment
) -> Saving:
    experiment.tell(f"measuring what this saves: {remedy.summary}")
    cell = remedied(result.cell, remedy)
    after = _entry_s(replace(cell, deadline_s=min(cell.deadline_s, seconds + MORE_S)), experiment)
    return Saving(modules=(), change=remedy.change, before_s=seconds, after_s=after)


def _try_lazily(
    result: CellResult, modules: Sequence[ImportTime], seconds: float, experiment: Experiment
) -> Saving:
    names = [each.module for each in modules]
    experiment.tell(f"measuring what it saves to import {', '.join(names)} when first used")
    cell = result.cell
    context = replace(cell.context, prelude=f"{lazily(names)}\n{cell.context.prelude}")
    limit = min(cell.deadline_s, seconds + MORE_S)
    after = _entry_s(replace(cell, context=context, deadline_s=limit), experiment)
    return Saving(modules=tuple(modules), before_s=seconds, after_s=after)


def _entry_s(cell: Cell, experiment: Experiment) -> Known[float] | Unknown:
    """Return how long the entry takes in one run that ends well."""
    (result,) = experiment.run([cell])
    facts = result.probe
    if facts is None or result.verdict is not Verdict.OK:
        return unknown(result.why)
    return known(facts.entry_s, "one run")


def _with_texts(times: Times, texts: SourceTexts) -> Times:
    return replace(
        times,
        modules=tuple(_module_with_text(each, texts) for each in times.modules),
        lines=tuple(replace(each, line=texts.filled(each.line)) for each in times.lines),
    )


def _module_with_text(node: ImportTime, texts: SourceTexts) -> ImportTime:
    return replace(
        node,
        importer=texts.filled(node.importer) if node.importer is not None else None,
        children=tuple(_module_with_text(child, texts) for child in node.children),
    )
