"""What is said about hanging imports, put to the test: statements that can be false."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec

from deadlock_matrix.diagnosis import claim_readers as read
from deadlock_matrix.diagnosis.rows import NotShown, Rows
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict


class Outcome(StrEnum):
    """What the measurements say of a claim, on one interpreter."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TESTABLE = "not testable here"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, and the function that tells from results whether it holds.

    ``source`` is who says so. ``read`` returns whether it holds and one sentence with the figures;
    it raises `NotShown` if what was run does not tell.
    """

    name: str
    statement: str
    source: str
    read: Callable[[Rows], tuple[bool, str]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A claim on one interpreter; ``cells`` are the ids of those that it rests on."""

    claim: str
    interpreter: str
    outcome: Outcome
    sentence: str
    cells: tuple[str, ...]


_ADVICE = "the analysis this project began with"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="second-import-initialises-again",
        statement="a second 'import torch' runs MKL's initialisation again",
        source=_ADVICE,
        read=read.second_import_initialises_again,
    ),
    Claim(
        name="repeated-imports-are-no-ops",
        statement="importing a module again does nothing",
        source=_ADVICE,
        read=read.repeated_imports_are_no_ops,
    ),
    Claim(
        name="torch-outside-conda-has-no-mkl",
        statement="the torch of an interpreter that is not Anaconda's does not use MKL",
        source=_ADVICE,
        read=read.torch_outside_conda_has_no_mkl,
    ),
    Claim(
        name="message-comes-from-mkl",
        statement="'[mutex.cc : 452] RAW: Lock blocking' is printed by MKL",
        source=_ADVICE,
        read=read.message_comes_from_mkl,
    ),
    Claim(
        name="sequential-makes-mkl-serial",
        statement="MKL_THREADING_LAYER=SEQUENTIAL makes MKL compute on one thread",
        source=_ADVICE,
        read=read.sequential_makes_mkl_serial,
    ),
    Claim(
        name="variables-before-import",
        statement="OMP_NUM_THREADS and MKL_NUM_THREADS must be set before torch is imported",
        source=_ADVICE,
        read=read.variables_before_import,
    ),
    Claim(
        name="remedy-lazy-imports-one-family",
        statement="remedy 1: in the lazy layout, asking for one family imports that family alone",
        source=_ADVICE,
        read=read.lazy_imports_one_family,
    ),
    Claim(
        name="remedy-lazy-starts-faster",
        statement="remedy 1: the lazy layout starts faster",
        source=_ADVICE,
        read=read.lazy_starts_faster,
    ),
    Claim(
        name="remedy-variables-cure",
        statement="remedy 2: the four variables against MKL's threads make the hang go away",
        source=_ADVICE,
        read=read.cured_by("mkl-full"),
    ),
    Claim(
        name="remedy-factory-avoids-models",
        statement="remedy 3: importing splitlearn_core.factory directly does not import the models",
        source=_ADVICE,
        read=read.factory_avoids_models,
    ),
    Claim(
        name="remedy-other-blas",
        statement="remedy 4: what hangs on MKL does not hang on an interpreter with another BLAS",
        source=_ADVICE,
        read=read.other_blas_does_not_hang,
    ),
    Claim(
        name="one-thread-cures-fork",
        statement="OMP_NUM_THREADS=1 cures the hang of a forked child",
        source="PyTorch's users",
        read=read.cured_by("threads-1"),
    ),
    Claim(
        name="sequential-cures-mkl-after-fork",
        statement="MKL_THREADING_LAYER=SEQUENTIAL cures what hangs in a dynamic MKL after a fork",
        source=_ADVICE,
        read=read.cured_by("mkl-sequential", on_mkl=True),
    ),
    Claim(
        name="sequential-cures-torch-after-fork",
        statement="MKL_THREADING_LAYER=SEQUENTIAL cures torch's own hang after a fork",
        source=_ADVICE,
        read=read.cured_by("mkl-sequential"),
    ),
    Claim(
        name="no-init-at-fork-cures",
        statement="KMP_INIT_AT_FORK=FALSE cures MKL's hangs after a fork",
        source="MXNet's users",
        read=read.cured_by("kmp-no-init-at-fork", on_mkl=True),
    ),
    Claim(
        name="duplicate-ok-is-harmless",
        statement="KMP_DUPLICATE_LIB_OK=TRUE is harmless",
        source="OpenMP's error message",
        read=read.duplicate_is_harmless,
    ),
)


def examine(report: Report, claims: Sequence[Claim] = CLAIMS) -> tuple[Answer, ...]:
    """Every claim on every interpreter that something was run on, in the order of the claims."""
    found = {facts.name: facts.fingerprint for facts in report.interpreters}
    nothing = Unknown(reason="the interpreter was not identified")
    by_name = _by_interpreter(report.cells)
    rows = [
        Rows(
            interpreter=name,
            fingerprint=found.get(name, nothing),
            results=tuple(results),
            others=tuple(
                Rows(
                    interpreter=other, fingerprint=found.get(other, nothing), results=tuple(theirs)
                )
                for other, theirs in by_name.items()
                if other != name
            ),
        )
        for name, results in by_name.items()
    ]
    return tuple(_answer(claim, each) for claim in claims for each in rows)


def _answer(claim: Claim, rows: Rows) -> Answer:
    looked_at = rows.fresh()
    try:
        holds, sentence = claim.read(looked_at)
        outcome = Outcome.CONFIRMED if holds else Outcome.REFUTED
    except NotShown as reason:
        outcome, sentence = Outcome.NOT_TESTABLE, str(reason)
    return Answer(
        claim=claim.name,
        interpreter=rows.interpreter,
        outcome=outcome,
        sentence=sentence,
        cells=tuple(dict.fromkeys(looked_at.used)),
    )


def _by_interpreter(results: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    found: dict[str, list[CellResult]] = {}
    for result in results:
        found.setdefault(result.cell.interpreter.name, []).append(result)
    return {
        name: theirs
        for name, theirs in found.items()
        if any(result.verdict is not Verdict.UNAVAILABLE for result in theirs)
    }
