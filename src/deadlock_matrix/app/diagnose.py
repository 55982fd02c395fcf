"""Diagnose a target: identify its interpreter, run what is needed, say what it means."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from deadlock_matrix.app.case import Case
from deadlock_matrix.cache import cache_folder
from deadlock_matrix.causes import load_causes
from deadlock_matrix.diagnosis.investigation.statements import text_of
from deadlock_matrix.diagnosis.investigation.times import whereabouts
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.model.diagnosis import Diagnosis, Target
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.run.experiment import Experiment
from deadlock_matrix.run.sampling import Sampler


def diagnose_target(
    target: Target,
    tell: Callable[[str], None] = lambda text: None,
    started: Callable[[Callable[[], None]], None] = lambda interrupt: None,
) -> Diagnosis:
    """Run a target under watch; if it hangs, say why, and try what helps.

    Args:
        target: What to run, and what else to try.
        tell: Called with each line of progress.
        started: Called before the first run with a function that may be called at any time, even
            from a signal handler: it ends what runs, and what is known by then is returned.

    Raises:
        RunError: The harness itself failed.
    """
    cache = cache_folder()
    own = imported_package(text_of(target))
    with tempfile.TemporaryDirectory(prefix="diagnosis-") as scratch:
        tell(f"identifying {target.interpreter.executable}")
        facts = identify(target.interpreter, cache)
        with Experiment(
            cache,
            Path(scratch),
            interpreter=target.interpreter,
            fingerprint=facts.fingerprint,
            budget_s=target.budget_s,
            tell=tell,
            sampler=Sampler(lambda sample, s: tell(whereabouts(sample, s, own))),
        ) as experiment:
            started(experiment.interrupt)
            return Case(target, facts, load_causes(), experiment, Path(scratch)).diagnose()
