"""What a script's header says about it: what its runs showed, and nothing else."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from deadlock_matrix.app.carrying import Carried
from deadlock_matrix.diagnosis.investigation.reproducer import Script
from deadlock_matrix.model.diagnosis import HUNG, Minimised
from deadlock_matrix.model.fact import Known, Unknown

_WHERE = "in an empty folder, without any environment variable"


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """A script, what became of it when run alone, and what it had to be given."""

    script: Script
    alone: Known[str] | Unknown
    variables: Minimised | None = None
    statements: Minimised | None = None
    with_caller: Known[str] | Unknown = Unknown(reason="there was no time to run it")


def first_sentence(best: Try) -> str:
    """Return what the script did when it was run alone."""
    if is_hung(best.alone):
        assert isinstance(best.alone, Known)
        what = best.alone.value
        first = f"This script hangs. It was run {_WHERE}: {what} ({best.alone.source})."
        return first if not best.script.path else f"{first} It is not self-contained: see below."
    told = best.alone.value if isinstance(best.alone, Known) else best.alone.reason
    return (
        f"This script is not known to hang. It was run {_WHERE}, and the result was: "
        f"{told.rstrip('.')}. The hang was seen when the tool ran the program; what this script "
        "lacks is listed below."
    )


def what_is_missing(
    best: Try, carried: Carried, servers: Collection[str] = frozenset()
) -> list[str]:
    """Return what keeps it from being self-contained.

    Args:
        best: The script.
        carried: What it brings of the user's files.
        servers: Addresses for whose answer it waits, here as in the run that was diagnosed.
    """
    missing = [f"the server at {each}, for whose answer it waits" for each in sorted(servers)]
    if best.script.path:
        why = "; ".join(carried.missing) or "its files alone do not make it hang"
        missing.append(f"the folder {best.script.path}, from which it takes modules: {why}")
    if not is_hung(best.alone):
        told = best.with_caller
        said = told.value if isinstance(told, Known) else told.reason
        missing.append(
            "what makes it hang; run with all of the caller's environment variables, the result "
            f"was: {said}"
        )
    return missing


def about_variables(best: Try) -> str:
    """Return which variables it sets, of how many; empty if none."""
    if best.variables is None:
        return ""
    elements, out_of = best.variables.elements, best.variables.out_of
    without = "it" if len(elements) == 1 else "any one of them"
    rest = ""
    if not best.variables.whole:
        rest = "; there was no time to find out whether it needs others"
    elif elements:
        rest = f"; without {without} it does not hang"
    return f"{', '.join(elements) or 'nothing'}, of {out_of} variables{rest}"


def about_statements(best: Try) -> str:
    """Return how much was left out of it; empty if nothing."""
    if best.statements is None:
        return ""
    whole = "; without any one of them it does not hang" if best.statements.whole else ""
    return f"{best.statements.elements[0]} of {best.statements.out_of}{whole}"


def is_hung(came_to: Known[str] | Unknown) -> bool:
    """Return whether a run of a script hung."""
    return isinstance(came_to, Known) and came_to.value.startswith(HUNG)
