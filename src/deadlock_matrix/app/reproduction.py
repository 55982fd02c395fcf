"""Make a script that hangs where there is only Python, and prove it by running it there.

It runs in an empty folder, without a single environment variable. What else it needs is found by
measuring: first whether the user's files can be brought along as text, then which of the caller's
variables it cannot do without. Its header claims what the last of these runs showed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from deadlock_matrix.app.carrying import Carried, carry
from deadlock_matrix.app.script_claims import (
    Try,
    about_statements,
    about_variables,
    first_sentence,
    is_hung,
    what_is_missing,
)
from deadlock_matrix.app.shrinking import shrink
from deadlock_matrix.diagnosis.frames import is_probes, users_frame
from deadlock_matrix.diagnosis.investigation.minimise import Minimiser, OutOfTime
from deadlock_matrix.diagnosis.investigation.reproducer import (
    Claims,
    Script,
    reproducer_text,
    script_text,
)
from deadlock_matrix.diagnosis.involved import servers
from deadlock_matrix.diagnosis.statistics import runs_to_see
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.diagnosis import Diagnosis, Minimised, Outcome, Reproducer
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import Stopped
from deadlock_matrix.model.verdict import Judgement, Verdict
from deadlock_matrix.run.environment import make_environment
from deadlock_matrix.run.experiment import Alone, Experiment

SHRINKING_S = 12.0
"""For leaving statements out; or half of the remaining time, if that is more."""


class Reproduction:
    """One hang that a script is to show."""

    def __init__(
        self,
        diagnosis: Diagnosis,
        cell: Cell,
        statement: str,
        folders: Sequence[Path],
        experiment: Experiment,
    ) -> None:
        """Prepare.

        Args:
            diagnosis: What was found so far.
            cell: The cell that hangs.
            statement: Its code, or the text of the script that it runs.
            folders: Where the user's modules are looked for first.
            experiment: Runs the script.
        """
        self._diagnosis = diagnosis
        self._cell = cell
        self._statement = statement
        self._folders = tuple(folders)
        self._experiment = experiment
        fact = diagnosis.interpreter.fingerprint
        self._fingerprint: Fingerprint | None = fact.or_else(None)
        # A shim that starts the right Python needs variables of its own to find it.
        self._executable = (
            self._fingerprint.executable if self._fingerprint else cell.interpreter.executable
        )
        self._shape = _shape(diagnosis.result.judgement, diagnosis.result.evidence)
        self._servers: frozenset[str] = frozenset()  # that the last run which hung waited for

    def make(self) -> Reproducer:
        """Try one way after another until a script hangs alone; write it down as it is."""
        carried = carry(
            [self._statement, self._cell.context.prelude],
            self._folders,
            self._data_folder(),
            self._diagnosis.target.arguments,
        )
        tries: list[Try] = []
        for script in self._scripts(carried):
            tries.append(self._try(script))
            if is_hung(tries[-1].alone):
                break
        best = next((each for each in tries if is_hung(each.alone)), tries[0])
        best = self._shrunk(best)
        claims = self._claims(best, carried)
        return Reproducer(
            text=reproducer_text(best.script, claims),
            alone=best.alone,
            missing=tuple(claims.missing),
            needs=tuple(claims.needs),
            variables=best.variables,
            brings=tuple(each.name for each in best.script.sources),
        )

    def _data_folder(self) -> Path | None:
        """Return where the program finds its data files, if it runs in a folder of the user's."""
        return Path.cwd() if self._diagnosis.target.script else None

    def _shrunk(self, best: Try) -> Try:
        """Leave out what the hang does not need, if one run shows that it still hangs."""
        rate = self._diagnosis.rate
        proved = self._diagnosis.result.verdict is Verdict.DEADLOCK
        if not is_hung(best.alone) or not proved or rate.hangs < rate.runs:
            return best
        last = [best.alone]

        def hangs(script: Script) -> bool:
            came_to = self._run(script, {})
            if is_hung(came_to):
                last.append(came_to)
            return is_hung(came_to)

        left_s = self._experiment.left_s()
        until = left_s - max(SHRINKING_S, left_s / 2)
        script, said = shrink(
            best.script,
            hangs,
            lambda: not self._is_late() and self._experiment.left_s() > until,
            self._experiment.tell,
        )
        return replace(best, script=script, alone=last[-1], statements=said)

    def _scripts(self, carried: Carried) -> list[Script]:
        """Return the scripts, the most self-contained first."""
        base = Script(
            statement=self._statement,
            context=self._cell.context,
            arguments=self._diagnosis.target.arguments,
            unset=self._spoilers(),
        )
        scripts = [replace(base, sources=carried.sources, builds=carried.builds, data=carried.data)]
        if self._folders and (carried.sources or carried.missing):
            scripts.append(replace(base, path=str(self._folders[0])))
        return scripts

    def _spoilers(self) -> tuple[str, ...]:
        """Return variables measured to keep it from hanging: whoever runs it may have them."""
        cure = self._diagnosis.cure
        if cure is None:
            return ()
        base = self._cell.profile.set
        return tuple(sorted(n for n, v in cure.remedy.profile.set.items() if base.get(n) != v))

    def _try(self, script: Script) -> Try:
        alone = self._run(script, {})
        if is_hung(alone) or self._is_late():
            return Try(script=script, alone=alone)
        whole = self._variables(script)
        self._experiment.tell(
            "the script does not hang there; running it with all of your environment variables"
        )
        with_caller = self._run(script, whole)
        if not is_hung(with_caller):
            return Try(script=script, alone=alone, with_caller=with_caller)
        needed = self._needed(script, whole)
        script = replace(script, environment={name: whole[name] for name in needed.elements})
        return Try(script=script, alone=self._run(script, {}), variables=needed)

    def _variables(self, script: Script) -> dict[str, str]:
        cell = self._cell
        found = make_environment(
            cell.interpreter, cell.profile, os.environ, Path(sys.executable).parent
        )
        path = found.get("PYTHONPATH", "").split(os.pathsep)
        rest = [each for each in path if each and Path(each) not in self._folders]
        found.pop("PYTHONPATH", None)
        if rest:
            found["PYTHONPATH"] = os.pathsep.join(rest)
        return {name: found[name] for name in sorted(found) if name not in script.unset}

    def _needed(self, script: Script, whole: Mapping[str, str]) -> Minimised:
        """Find what it needs by delta debugging, first over what the user's files mention."""

        def still_hangs(names: tuple[str, ...]) -> bool:
            if self._is_late():
                raise OutOfTime
            return is_hung(self._run(script, {name: whole[name] for name in names}))

        texts = "\n".join([script.statement, *(source.text for source in script.sources)])
        names = tuple(whole)
        mentioned = tuple(n for n in names if n in texts or n in self._cell.profile.set)
        start = names
        with suppress(OutOfTime):
            if mentioned and len(mentioned) < len(names) and still_hangs(mentioned):
                start = mentioned
        minimiser = Minimiser(start, still_hangs)
        elements = minimiser.run()
        if not minimiser.whole:  # the values of the others are nobody's business
            elements = tuple(each for each in elements if each in mentioned)
        return Minimised(
            of="your environment",
            elements=elements,
            out_of=len(names),
            probes=minimiser.probes,
            whole=minimiser.whole,
        )

    def _run(self, script: Script, environment: Mapping[str, str]) -> Known[str] | Unknown:
        """Run it until it hangs, as often as should be enough if it hangs as often as the cell."""
        rate = self._diagnosis.rate
        text = script_text(script)
        last: Known[str] | Unknown = unknown("there was no time to run it")
        for number in range(1, (runs_to_see(rate) if rate.hangs else 1) + 1):
            alone = self._experiment.run_alone(
                text, self._executable, environment, self._cell.deadline_s
            )
            last = self._same(alone)
            if is_hung(last):
                which = f", in run {number}" if number > 1 else ""
                assert isinstance(last, Known)
                return Known(value=last.value + which, source=last.source)
            if self._is_late():
                break
        return last

    def _same(self, alone: Alone) -> Known[str] | Unknown:
        """Accept only the hang that was diagnosed, not another one."""
        if not is_hung(alone.came_to):
            return alone.came_to
        watched = alone.watched
        if watched is None:
            return alone.came_to
        if self._diagnosis.result.verdict is Verdict.DEADLOCK and watched.end != Stopped(
            reason="proved"
        ):
            return unknown("it hung, and nothing was proved")
        evidence = watched.evidence.or_else(None)
        self._servers = servers(evidence)
        shape = _shape(watched.judgement, evidence)
        if self._shape and shape and not self._shape & shape:
            return unknown(f"it hung in another place: {', '.join(sorted(shape))}")
        return alone.came_to

    def _is_late(self) -> bool:
        # What nothing proves stuck takes its deadline, and the last run of all is still to come.
        proved = self._diagnosis.result.verdict is Verdict.DEADLOCK
        return self._experiment.left_s() <= (0.0 if proved else 2 * self._cell.deadline_s)

    def _claims(self, best: Try, carried: Carried) -> Claims:
        diagnosis, fingerprint = self._diagnosis, self._fingerprint
        seen = diagnosis.result.evidence
        python = "an interpreter that is not known"
        if fingerprint is not None:
            python = (
                f"{fingerprint.implementation} {fingerprint.version}, {fingerprint.distribution}"
            )
        rate = diagnosis.rate
        caution = diagnosis.advice[:1] if diagnosis.outcome is Outcome.HANG else ()
        return Claims(
            first=first_sentence(best),
            sentence=" ".join([diagnosis.sentence, *caution]),
            python=python,
            needs=self._needs(carried),
            how_often=f"{rate.hangs} of {rate.runs} runs hung",
            tool=f"{diagnosis.tool.name} {diagnosis.tool.version}",
            # A server that it starts itself has another port each time.
            missing=what_is_missing(best, carried, self._servers & servers(seen)),
            about_variables=about_variables(best),
            about_statements=about_statements(best),
            again=self._cell.deadline_s if rate.hangs < rate.runs else 0.0,
        )

    def _needs(self, carried: Carried) -> list[str]:
        """Return distributions by the names of the modules that are imported."""
        packages = self._fingerprint.packages if self._fingerprint else {}
        by_name = {_normal(name): (name, version) for name, version in packages.items()}
        needs = []
        for module in carried.installed:
            name, version = by_name.get(_normal(module), (module, ""))
            needs.append(f"{name}=={version}" if version else name)
        return needs


def _shape(judgement: Judgement | None, evidence: Evidence | None) -> frozenset[str]:
    """Return the functions in which the stuck threads wait; empty if none was read."""
    if judgement is None or evidence is None:
        return frozenset()
    stuck = {each.tid for each in judgement.threads if each.stuck or each.likely}
    found = set()
    for thread in evidence.python().values():
        place = users_frame([each for each in thread.python if not is_probes(each)])
        if (not stuck or thread.tid in stuck) and place is not None:
            found.add(place.function)
    return frozenset(found)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
