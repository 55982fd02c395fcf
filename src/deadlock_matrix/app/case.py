"""One diagnosis from beginning to end: what is run, what it means, what is written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from deadlock_matrix.app.carrying import carry
from deadlock_matrix.app.known import is_pool, known_cause, questions
from deadlock_matrix.app.options import Hang, Options
from deadlock_matrix.app.reproduction import Reproduction
from deadlock_matrix.app.slow import account_for
from deadlock_matrix.app.source_text import SourceTexts
from deadlock_matrix.app.ways import further_ways
from deadlock_matrix.diagnosis.endings import Ending, ending, rate_of
from deadlock_matrix.diagnosis.investigation.answers import (
    answer,
    failed_ways,
    hung_advice,
    hung_sentence,
    outcome_of,
    slow_answer,
)
from deadlock_matrix.diagnosis.investigation.changes import lock_order
from deadlock_matrix.diagnosis.investigation.checklist import Measurements
from deadlock_matrix.diagnosis.investigation.clues import clues_of
from deadlock_matrix.diagnosis.investigation.costs import cost_of
from deadlock_matrix.diagnosis.investigation.search import (
    Found,
    Remedies,
    fewer_imports,
    find_hang,
    measure,
    try_remedies,
)
from deadlock_matrix.diagnosis.investigation.statements import (
    join,
    split,
    text_of,
)
from deadlock_matrix.diagnosis.investigation.times import SLOW_S
from deadlock_matrix.diagnosis.involved import imports_under_way
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.recognise import Recognition, recognise
from deadlock_matrix.diagnosis.statistics import interval_of, upper_bound
from deadlock_matrix.diagnosis.stuck import known_so_far, stuck_threads
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.model.cell import Cell, Layout
from deadlock_matrix.model.diagnosis import (
    Diagnosis,
    Minimised,
    Outcome,
    Rate,
    Reproducer,
    Target,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.report.host import describe_tool
from deadlock_matrix.run.experiment import Experiment

KEPT_S = 12.0
KEPT_SHARE = 0.25
"""Part of the budget, for the script: without one nobody else can look at the hang."""


class Case:
    """A target, with what is known before the first run."""

    def __init__(
        self,
        target: Target,
        interpreter: InterpreterFacts,
        causes: Sequence[Cause],
        experiment: Experiment,
        scratch: Path,
    ) -> None:
        self.target = target
        self.interpreter = interpreter
        self.causes = causes
        self.experiment = experiment
        self.scratch = scratch

    def diagnose(self) -> Diagnosis:
        """Run what is needed to answer.

        Raises:
            RunError: The harness itself failed.
        """
        target = self.target
        carried = carry([text_of(target)], self._folders(target.layout))
        fact = self.interpreter.fingerprint
        fingerprint = fact.or_else(None)
        found = find_hang(
            target,
            self.experiment,
            lambda first: further_ways(target, first, carried, fingerprint),
        )
        if ending(found.result) is Ending.HUNG:
            self._turn_to(found.result.cell)
            diagnosis = self._hangs(found)
        else:
            diagnosis = self._ends(found)
        diagnosis = self._texts(found.result.cell).with_users_paths(diagnosis)
        if self.experiment.interrupted:
            notes = ("it was interrupted; this is what was known by then", *diagnosis.notes)
            diagnosis = replace(diagnosis, notes=notes)
        return replace(diagnosis, duration_s=self.experiment.elapsed_s(), runs=self.experiment.runs)

    def _turn_to(self, cell: Cell) -> None:
        """From here on, deal with the way in which it hangs."""
        if cell.interpreter != self.target.interpreter:
            self.interpreter = identify(cell.interpreter, self.experiment.cache)
        self.target = replace(self.target, interpreter=cell.interpreter, profile=cell.profile)

    def _ends(self, found: Found) -> Diagnosis:
        outcome = outcome_of(found.result)
        fingerprint = self.interpreter.fingerprint
        packages = fingerprint.value.packages if isinstance(fingerprint, Known) else {}
        said = answer(found.result, self.target, packages, _nearby(self.target))
        rate = rate_of(found.clean) if found.clean else Rate(hangs=0, runs=0)
        below = upper_bound(rate.runs) if rate.runs else None
        if outcome is Outcome.CLEAN and not said:
            said = ("It does not hang.",)
        cost = cost_of(found.clean)
        recognitions = self._recognise(found)
        causes = frozenset(e.cause.name for e in recognitions if e.certainty == "recognised")
        times = None
        if outcome is Outcome.SLOW or (cost is not None and cost.seconds >= SLOW_S):
            texts = self._texts(found.result.cell)
            options = Options(self.target, texts, self.scratch, self.experiment.cache)
            folders = self._folders(found.result.cell.layout)
            try:
                times = account_for(
                    found.result, self.target, texts, options, folders, self.experiment, causes
                )
            finally:
                options.close()
        if times is not None and outcome is Outcome.CLEAN:
            said = slow_answer(times, once=len(found.clean) == 1)
        blank = self._blank(found, rate, Remedies())
        return replace(
            blank,
            outcome=outcome,
            sentence=said[0] if said else found.result.why,
            advice=(*failed_ways(found.failed), *said[1:]),
            below=below,
            cost=cost,
            times=times,
            causes=tuple(map(known_cause, recognitions)),
        )

    def _hangs(self, found: Found) -> Diagnosis:
        experiment, target = self.experiment, self.target
        recognitions = self._recognise(found)
        causes = tuple(each.cause for each in recognitions if each.certainty == "recognised")
        cell = found.result.cell
        texts = self._texts(cell)
        samples = experiment.samples_of(cell)
        stuck = texts.fill(stuck_threads(found.result, imported_package(text_of(target)), samples))
        for line in known_so_far(outcome_of(found.result), stuck):
            experiment.tell(line)
        experiment.reserve_s = min(KEPT_S, target.budget_s * KEPT_SHARE)
        measured = measure(found, target, experiment)
        # What nothing proves stuck takes its deadline each time: room for the script, and no more.
        experiment.reserve_s = min(experiment.reserve_s, measured.cell.deadline_s + 1.0)
        statements = fewer_imports(measured, target, experiment)
        judgement = found.result.judgement
        doings = judgement.threads if judgement is not None else ()
        folders = self._folders(cell.layout)
        carried = carry([text_of(target), found.context.prelude], folders)
        hang = Hang(
            context=found.context,
            clues=clues_of(found.result, frozenset(each.name for each in causes), is_pool, samples),
            causes=causes,
            stuck=stuck,
            doings=tuple(each for each in doings if each.stuck or each.likely),
            carried=carried,
        )
        options = Options(target, texts, self.scratch, experiment.cache)
        needed = statements.elements if statements is not None else None
        try:
            todo, changes = options.remedies(hang, self.interpreter.fingerprint, needed, folders)
            remedies = try_remedies(measured, target, todo, experiment)
        finally:
            options.close()
        blank = self._blank(found, measured.rate, remedies)
        diagnosis = replace(
            blank,
            outcome=outcome_of(found.result),
            sentence=hung_sentence(found.result, stuck),
            interval=interval_of(measured.rate),
            advice=(
                *hung_advice(found.result, hang.clues.waits),
                *lock_order(hang.doings, texts.line),
            ),
            stuck=stuck,
            changes=changes,
            imports=imports_under_way(found.result),
            involved=hang.clues.involved,
            causes=tuple(map(known_cause, recognitions)),
            statements=statements,
        )
        if experiment.interrupted:
            return diagnosis
        return replace(diagnosis, reproducer=self._reproducer(diagnosis, measured.cell))

    def _texts(self, cell: Cell) -> SourceTexts:
        overlays = [Path(each) for each in cell.layout.overlays]
        return SourceTexts(cell.entry.statement, overlays, self.experiment.cache / "layouts")

    def _blank(self, found: Found, rate: Rate, remedies: Remedies) -> Diagnosis:
        """Return what every diagnosis has."""
        measurements = Measurements(
            result=found.result,
            clean=(*found.clean, *remedies.clean),
            fingerprint=self.interpreter.fingerprint,
            trials=remedies.trials,
        )
        return Diagnosis(
            tool=describe_tool(),
            target=self.target,
            interpreter=self.interpreter,
            outcome=outcome_of(found.result),
            sentence=found.result.why,
            advice=(),
            result=found.result,
            tried=found.series,
            rate=rate,
            interval=None,
            below=None,
            imports=(),
            involved=(),
            causes=(),
            trials=remedies.trials,
            cure=remedies.cure,
            variables=remedies.variables,
            statements=None,
            checklist=tuple(questions(measurements)),
            cost=None,
            reproducer=None,
            duration_s=self.experiment.elapsed_s(),
            runs=self.experiment.runs,
        )

    def _recognise(self, found: Found) -> tuple[Recognition, ...]:
        return recognise(found.result, self.interpreter.fingerprint, self.causes)

    def _reproducer(self, diagnosis: Diagnosis, cell: Cell) -> Reproducer:
        self.experiment.reserve_s = 0.0
        self.experiment.tell("writing a script that hangs without this tool, and running it alone")
        statement = _smaller(self.target, diagnosis.statements, diagnosis.rate)
        folders = self._folders(cell.layout)
        return Reproduction(diagnosis, cell, statement, folders, self.experiment).make()

    def _folders(self, layout: Layout) -> list[Path]:
        """Return where the user's modules are looked for first."""
        target = self.target
        overlays = [Path(each) for each in reversed(layout.overlays)]
        path = [Path(target.path)] if target.path else []
        script = [Path(target.script).absolute().parent] if target.script else []
        return [*overlays, *path, *script]


def _nearby(target: Target) -> str:
    """Return the folder ``src`` beside it, if it contains the package: a common arrangement."""
    folder = Path(target.path, "src")
    inside = folder / (imported_package(target.entry.statement) or "?")
    return str(folder) if inside.exists() or inside.with_suffix(".py").exists() else ""


def _smaller(target: Target, statements: Minimised | None, rate: Rate) -> str:
    """Return the code with only the needed imports, if it always hangs: one run shows that."""
    text = text_of(target)
    if statements is None or rate.hangs < rate.runs:
        return text
    return join(statements.elements, split(text))
