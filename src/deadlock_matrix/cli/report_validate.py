"""``deadlock-matrix report validate``: check that a report is right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deadlock_matrix.errors import ExitStatus, ReportError

if TYPE_CHECKING:
    from deadlock_matrix.model.observation import CellResult
    from deadlock_matrix.model.verdict import Judgement

MOST_FAULTS = 20  # shown for one report


@click.command(short_help="Check reports, and judge their evidence again.")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
def validate(paths: tuple[Path, ...]) -> None:
    """Check each PATH, a report.json or the folder of a run, and print one line for it.

    It checks types, schema version, the order of the cells, the summary, the files with the
    evidence, and whether judging the evidence again gives the same verdicts. Exit status 1 if
    anything is wrong; further lines say what.
    """
    from deadlock_matrix.report.validation import validate as check

    right = True
    for path in paths:
        try:
            found = check(path, judge_again)
        except ReportError as error:
            click.echo(str(error))
            right = False
            continue
        click.echo(found.line)
        for fault in found.faults[:MOST_FAULTS]:
            click.echo(f"  {fault}")
        if len(found.faults) > MOST_FAULTS:
            click.echo(f"  and {len(found.faults) - MOST_FAULTS} more")
        right = right and not found.faults
    if not right:
        sys.exit(ExitStatus.FAILED)


def judge_again(result: CellResult) -> Iterator[str]:
    """Judge the evidence of a result and conclude anew; yield one sentence for all that differs."""
    from deadlock_matrix.model.fact import Known
    from deadlock_matrix.proof.check import find_faults
    from deadlock_matrix.proof.conclude import conclude
    from deadlock_matrix.proof.judge import judge

    if not isinstance(result.observation, Known):
        return
    observation, judgement = result.observation.value, result.judgement
    try:
        if isinstance(observation.evidence, Known):
            judgement = judge(observation.evidence.value)
        verdict, _ = conclude(observation, judgement)
        faults = find_faults(judgement.proof) if judgement and judgement.proof else []
    except Exception as error:  # the types are right, but what they say need not be possible
        yield f"its evidence cannot be judged: {type(error).__name__}: {error}"
        return
    # Words may improve with time; what they say may not change.
    stored = result.judgement.outcome if result.judgement else "none"
    found = judgement.outcome if judgement else "none"
    if stored == "deadlock" and found == "likely" and judgement and _lacks_new_facts(judgement):
        pass  # proved by what its version required; a later one requires more
    elif verdict is not result.verdict:
        yield (
            f"the report says {result.verdict.value}, but judging the evidence again gives "
            f"{verdict.value}"
        )
    elif stored != found:
        yield f"its judgement says {stored}, but judging the evidence again gives {found}"
    for fault in faults:
        yield f"its proof does not hold: {fault}"


def _lacks_new_facts(judgement: Judgement) -> bool:
    """Return whether all that has to be assumed is what the writing version did not read."""
    proof = judgement.proof
    return proof is not None and all(
        assumption.source == "not read by this version" for assumption in proof.assumptions
    )
