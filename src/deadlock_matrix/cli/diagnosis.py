"""One diagnosis from beginning to end: what is run, what it means, what is written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from deadlock_matrix.diagnosis.answers import answer, hung_advice, outcome_of
from deadlock_matrix.diagnosis.causes import Cause
from deadlock_matrix.diagnosis.checklist import Measurements, checklist
from deadlock_matrix.diagnosis.costs import cost_of
from deadlock_matrix.diagnosis.endings import Ending, ending, observation_of, rate_of
from deadlock_matrix.diagnosis.investigation import (
    Found,
    Remedies,
    fewer_imports,
    find_hang,
    measure,
    try_remedies,
)
from deadlock_matrix.diagnosis.involved import imports_under_way, involved_libraries
from deadlock_matrix.diagnosis.recognition import recognise
from deadlock_matrix.diagnosis.remedies import name_of
from deadlock_matrix.diagnosis.reproducer import Circumstances, make_reproducer
from deadlock_matrix.diagnosis.statements import join, split, top_level
from deadlock_matrix.diagnosis.statistics import interval_of, runs_to_see, upper_bound
from deadlock_matrix.matrix.layouts import assemble
from deadlock_matrix.model.cell import Cell, Profile
from deadlock_matrix.model.diagnosis import (
    Diagnosis,
    KnownCause,
    Minimised,
    Outcome,
    Rate,
    Reproducer,
    Target,
)
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.render.plain import seconds
from deadlock_matrix.report.files import write_atomically
from deadlock_matrix.report.host import describe_tool
from deadlock_matrix.run.experiment import Experiment

REPRODUCER = "reproducer.py"
GRACE_S = 10.0  # beyond the budget, for the reproducer
_TOLD_PACKAGES = ("torch", "transformers", "numpy", "tensorflow", "pyarrow", "protobuf", "mkl")


class Case:
    """A target, with what is known before the first run."""

    def __init__(
        self,
        target: Target,
        interpreter: InterpreterFacts,
        causes: Sequence[Cause],
        experiment: Experiment,
    ) -> None:
        self.target = target
        self.interpreter = interpreter
        self.causes = causes
        self.experiment = experiment

    def diagnose(self, folder: Path) -> Diagnosis:
        """Run what is needed to answer; a reproducer is written to ``folder`` if it hangs.

        Raises:
            RunError: The harness itself failed.
            ReportError: The folder cannot be written.
        """
        found = find_hang(self.target, self.experiment)
        if ending(found.result) is Ending.HUNG:
            return self._hangs(found, folder)
        return self._ends(found)

    def _ends(self, found: Found) -> Diagnosis:
        outcome = outcome_of(found.result)
        fingerprint = self.interpreter.fingerprint
        packages = fingerprint.value.packages if isinstance(fingerprint, Known) else {}
        said = answer(found.result, self.target, packages, _nearby(self.target))
        rate = rate_of(found.clean) if found.clean else Rate(hangs=0, runs=0)
        below = upper_bound(rate.runs) if rate.runs else None
        if outcome is Outcome.CLEAN and not said:
            said = ("It does not hang.",)
        blank = self._blank(found, rate, Remedies())
        return replace(
            blank,
            outcome=outcome,
            sentence=said[0] if said else found.result.why,
            advice=said[1:],
            below=below,
            cost=cost_of(found.clean),
            causes=self._causes(found),
            notes=tuple(
                f"called from {each.cell.context.name}, it fails by itself: {each.why}"
                for each in found.failed
            ),
        )

    def _hangs(self, found: Found, folder: Path) -> Diagnosis:
        experiment = self.experiment
        causes = self._causes(found)
        target = _with_remedies_of(self.target, causes, self.causes)
        measured = measure(found, target, experiment)
        remedies = try_remedies(measured, target, found.context, experiment)
        statements = fewer_imports(measured, target, experiment)
        blank = self._blank(found, measured.rate, remedies)
        diagnosis = replace(
            blank,
            outcome=outcome_of(found.result),
            sentence=found.result.why,
            interval=interval_of(measured.rate),
            advice=hung_advice(found.result),
            imports=imports_under_way(found.result),
            involved=involved_libraries(found.result),
            causes=causes,
            statements=statements,
        )
        reproducer = self._reproducer(diagnosis, measured.cell, folder)
        return replace(
            diagnosis,
            reproducer=reproducer,
            duration_s=experiment.elapsed_s(),
            runs=experiment.runs,
        )

    def _blank(self, found: Found, rate: Rate, remedies: Remedies) -> Diagnosis:
        """What every diagnosis has."""
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
            checklist=checklist(measurements),
            cost=None,
            reproducer=None,
            duration_s=self.experiment.elapsed_s(),
            runs=self.experiment.runs,
        )

    def _causes(self, found: Found) -> tuple[KnownCause, ...]:
        return tuple(
            KnownCause(
                name=each.cause.name,
                title=each.cause.title,
                certainty=each.certainty,
                explanation=" ".join(each.cause.explanation.split()),
                advice=tuple(remedy.advice for remedy in each.cause.remedy if remedy.helps),
                references=each.cause.references,
            )
            for each in recognise(found.result, self.interpreter.fingerprint, self.causes)
        )

    def _reproducer(self, diagnosis: Diagnosis, cell: Cell, folder: Path) -> Reproducer:
        self.experiment.tell("writing a script that hangs without this tool, and running it")
        smaller = _smaller(cell, diagnosis.statements, diagnosis.rate)
        text = make_reproducer(smaller, self._circumstances(diagnosis, smaller))
        script = folder / REPRODUCER
        write_atomically(script, text.encode())
        return Reproducer(text=text, alone=self._alone(script.absolute(), cell, diagnosis.rate))

    def _alone(self, script: Path, cell: Cell, rate: Rate) -> Known[str] | Unknown:
        """Run the script until it hangs, as often as should do if it hangs as often as the cell."""
        runs = runs_to_see(rate) if rate.hangs else 1
        for number in range(1, runs + 1):
            came_to = self.experiment.run_alone(script, cell)
            if isinstance(came_to, Known) and came_to.value in ("deadlock", "hang"):
                which = f", in run {number}" if number > 1 else ""
                return known(came_to.value + which, came_to.source)
            if self.experiment.left_s() < -GRACE_S:
                break
        return came_to

    def _path(self, cell: Cell) -> str:
        """The folder that is first where modules are looked for, a layout's included."""
        overlays = [Path(overlay) for overlay in cell.layout.overlays]
        if overlays:
            return str(assemble(overlays, self.experiment.cache / "layouts"))
        return self.target.path

    def _circumstances(self, diagnosis: Diagnosis, cell: Cell) -> Circumstances:
        fingerprint = self.interpreter.fingerprint
        python, packages = "this interpreter", {}
        if isinstance(fingerprint, Known):
            what = fingerprint.value
            python = f"{what.implementation} {what.version}, {what.distribution}"
            packages = {
                name: what.packages[name] for name in _TOLD_PACKAGES if name in what.packages
            }
        seen = observation_of(diagnosis.result)
        environment = dict(seen.environment) if seen is not None else {}
        if environment.get("PYTHONPATH") == self.target.path:
            del environment["PYTHONPATH"]  # the script puts the folder first by itself
        unset = {name for each in self.target.other_profiles for name in each.set}
        tool = diagnosis.tool
        return Circumstances(
            sentence=diagnosis.sentence,
            python=python,
            packages=packages,
            environment=environment,
            unset=sorted(unset - set(environment)),
            path=self._path(cell),
            how_often=_how_often(diagnosis),
            tool=f"{tool.name} {tool.version}",
            again=cell.deadline_s if diagnosis.rate.hangs < diagnosis.rate.runs else 0.0,
        )


def _nearby(target: Target) -> str:
    """The folder ``src`` beside, if the package is in it: a common arrangement."""
    folder = Path(target.path, "src")
    inside = folder / (top_level(target.entry.statement) or "?")
    return str(folder) if inside.exists() or inside.with_suffix(".py").exists() else ""


def _how_often(diagnosis: Diagnosis) -> str:
    seen = observation_of(diagnosis.result)
    after = f", within {seconds(seen.duration_s)}" if seen is not None else ""
    return f"in {diagnosis.rate.hangs} of {diagnosis.rate.runs} runs{after}"


def _smaller(cell: Cell, statements: Minimised | None, rate: Rate) -> Cell:
    """With the imports alone that are needed, where it always hangs: one run shows that."""
    if statements is None or rate.hangs < rate.runs:
        return cell
    parts = split(cell.entry.statement)
    statement = join(statements.elements, parts.rest)
    return replace(cell, entry=replace(cell.entry, statement=statement))


def _with_remedies_of(
    target: Target, found: Sequence[KnownCause], causes: Sequence[Cause]
) -> Target:
    """The target with what helps against the causes that were recognised, tried first."""
    names = {cause.name for cause in found}
    known = {tuple(sorted(profile.set.items())) for profile in target.other_profiles}
    profiles = []
    for cause in causes:
        for remedy in cause.remedy:
            variables = tuple(sorted(remedy.set.items()))
            if cause.name in names and remedy.helps and variables and variables not in known:
                known.add(variables)
                profiles.append(
                    Profile(name=name_of(remedy.set), set=remedy.set, summary=remedy.advice)
                )
    return replace(target, other_profiles=(*profiles, *target.other_profiles))
