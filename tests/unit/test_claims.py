"""Every claim: what confirms it, what refutes it, and when it cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from unit.test_findings import DYNAMIC_MKL, LIBGOMP, LIBIOMP, OPENBLAS, STATIC_MKL, of
from unit.test_forks import GNU, INTEL, identified, ran
from unit.test_report_samples import cell, result
from unit.test_terminal import report

from deadlock_matrix.decoding import read_toml
from deadlock_matrix.diagnosis.study.claims import Answer, Outcome, examine
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.terminal import text
from deadlock_matrix.studies.splitlearn import STUDY
from deadlock_matrix.studies.splitlearn.claims import CLAIMS

CONFIRMED, REFUTED, UNTESTED = Outcome.CONFIRMED, Outcome.REFUTED, Outcome.NOT_TESTABLE
MODELS = "splitlearn_core.models"
PIP = of(OPENBLAS, STATIC_MKL, LIBGOMP, printers=known((), "files"))
MIXTURE = of(DYNAMIC_MKL, LIBGOMP, LIBIOMP, printers=known(("/env/absl.so",), "files"))
PLAIN = of(OPENBLAS, printers=unknown("not looked for"))


def seen(
    entry: str,
    verdict: Verdict = Verdict.OK,
    *,
    threads: int = 1,
    watched: dict[str, int] | None = None,
    entry_s: float = 0.5,
    **axes: Any,
) -> CellResult:
    of_cell = cell("py", entry=entry, **({"layout": "lazy", "context": "main"} | axes))
    made = result(of_cell, verdict, entry_s=entry_s)
    if not isinstance(made.observation, Known) or not isinstance(
        made.observation.value.probe, Known
    ):
        return made
    probe = msgspec.structs.replace(
        made.observation.value.probe.value,
        threads=known(("python",) * threads, "task"),
        watched=watched or {},
    )
    observation = msgspec.structs.replace(made.observation.value, probe=known(probe, "probe"))
    return msgspec.structs.replace(made, observation=known(observation, "run"))


def answer(claim: str, found: Fingerprint, *results: CellResult) -> Answer:
    interpreters = (identified("py", found), identified("other", PLAIN))
    answers = examine(report(*results, interpreters=interpreters), CLAIMS, STUDY.layout)
    (told,) = [each for each in answers if each.claim == claim and each.interpreter == "py"]
    return told


def forked(profile: str, verdict: Verdict) -> CellResult:
    return seen("create-gpt2", verdict, profile=profile, context="fork-after-parallel")


TWICE = seen("torch-twice", threads=2, watched={"torch": 1})
HANGS = forked("baseline", Verdict.DEADLOCK)
FAMILIES = {f"{MODELS}.{name}": 1 for name in ("gpt2", "gemma", "qwen2")}

CASES: list[tuple[str, Outcome, str, Fingerprint, list[CellResult]]] = [
    ("second-import-initialises-again", REFUTED, "1 x in torch-twice", PIP, [TWICE]),
    (
        "second-import-initialises-again", CONFIRMED, "2 x in eager package", PIP,
        [seen("package", layout="eager", watched={"torch": 2})],
    ),
    ("second-import-initialises-again", UNTESTED, "was run", PIP, [seen("package")]),
    ("repeated-imports-are-no-ops", CONFIRMED, "1 x", PIP, [TWICE]),
    (
        "repeated-imports-are-no-ops", REFUTED, "2 x", PIP,
        [seen("torch-twice", watched={"torch": 2})],
    ),
    ("torch-outside-conda-has-no-mkl", REFUTED, "uses MKL in libtorch_cpu.so", PIP, [TWICE]),
    (
        "torch-outside-conda-has-no-mkl", CONFIRMED, "uses OpenBLAS", of(OPENBLAS), [TWICE],
    ),
    (
        "torch-outside-conda-has-no-mkl", UNTESTED, "this one is conda",
        of(STATIC_MKL, distribution="conda (conda-forge)"), [TWICE],
    ),
    ("message-comes-from-mkl", REFUTED, "absl.so contains it", MIXTURE, [TWICE]),
    (
        "message-comes-from-mkl", CONFIRMED, "libmkl_core.so",
        of(DYNAMIC_MKL, printers=known(("/env/lib/libmkl_core.so",), "files")), [TWICE],
    ),
    ("message-comes-from-mkl", UNTESTED, "no MKL", of(OPENBLAS, printers=known((), "x")), [TWICE]),
    ("message-comes-from-mkl", UNTESTED, "not looked", of(STATIC_MKL), [TWICE]),
    (
        "sequential-makes-mkl-serial", CONFIRMED, "MKL INTEL with 3 threads becomes", MIXTURE,
        [
            ran("py", "multiply", Verdict.OK, INTEL, context="main"),
            ran("py", "multiply", Verdict.OK, ("/env/lib/libmkl_sequential.so.2",),
                context="main", profile="mkl-sequential"),
        ],
    ),
    (
        "sequential-makes-mkl-serial", REFUTED, "static MKL in torch: 2 threads without", PIP,
        [TWICE, seen("torch-twice", threads=2, profile="mkl-sequential")],
    ),
    (
        "sequential-makes-mkl-serial", UNTESTED, "one thread here", PIP,
        [seen("torch-twice"), seen("torch-twice", profile="mkl-sequential")],
    ),
    ("sequential-makes-mkl-serial", UNTESTED, "no MKL", PLAIN, [TWICE]),
    (
        "variables-before-import", CONFIRMED, "1 thread when set before the import, 2 threads", PIP,
        [TWICE, seen("torch-variables-before"), seen("torch-variables-after", threads=2)],
    ),
    (
        "variables-before-import", REFUTED, "1 thread when set after", PIP,
        [TWICE, seen("torch-variables-before"), seen("torch-variables-after")],
    ),
    (
        "remedy-lazy-imports-one-family", CONFIRMED, "loads: gpt2", PIP,
        [seen("create-gpt2", watched={f"{MODELS}.gpt2": 1, f"{MODELS}.gemma": 0})],
    ),
    (
        "remedy-lazy-imports-one-family", REFUTED, "gemma, gpt2, qwen2", PIP,
        [seen("create-gpt2", watched=FAMILIES)],
    ),
    (
        "remedy-lazy-starts-faster", CONFIRMED, "200 times faster (4 s eager, 0.02 s lazy", PIP,
        [seen("package", layout="eager", entry_s=4.0), seen("package", entry_s=0.02)],
    ),
    (
        "remedy-lazy-starts-faster", REFUTED, "0.5 times", PIP,
        [seen("package", layout="eager", entry_s=1.0), seen("package", entry_s=2.0)],
    ),
    (
        "remedy-factory-avoids-models", REFUTED, "loads gpt2, gemma, qwen2", PIP,
        [seen("from-factory", layout="eager", watched={MODELS: 1, **FAMILIES})],
    ),
    (
        "remedy-factory-avoids-models", CONFIRMED, "loads no family", PIP,
        [seen("from-factory", layout="eager", watched={MODELS: 0})],
    ),
    (
        "remedy-variables-cure", CONFIRMED, "under mkl-full it is ok", PIP,
        [HANGS, forked("mkl-full", Verdict.OK)],
    ),
    (
        "remedy-variables-cure", REFUTED, "under mkl-full it still hangs", PIP,
        [HANGS, forked("mkl-full", Verdict.DEADLOCK)],
    ),
    (
        "remedy-variables-cure", UNTESTED, "no forked child hangs under the baseline", PIP,
        [forked("baseline", Verdict.OK), forked("mkl-full", Verdict.OK)],
    ),
    (
        "remedy-variables-cure", UNTESTED, "came out as crash", PIP,
        [HANGS, forked("mkl-full", Verdict.CRASH)],
    ),
    (
        "one-thread-cures-fork", CONFIRMED, "threads-1", PIP,
        [HANGS, forked("threads-1", Verdict.OK)],
    ),
    (
        "sequential-cures-torch-after-fork", REFUTED, "mkl-sequential it still hangs", PIP,
        [HANGS, forked("mkl-sequential", Verdict.DEADLOCK)],
    ),
    (
        "no-init-at-fork-cures", CONFIRMED, "kmp-no-init-at-fork", MIXTURE,
        [
            ran("py", "torch-numpy-multiply", Verdict.DEADLOCK, GNU),
            ran("py", "torch-numpy-multiply", Verdict.OK, GNU, profile="kmp-no-init-at-fork"),
        ],
    ),
    (
        "sequential-cures-mkl-after-fork", CONFIRMED, "under mkl-sequential it is ok", MIXTURE,
        [
            HANGS,
            forked("mkl-sequential", Verdict.DEADLOCK),
            ran("py", "torch-numpy-multiply", Verdict.DEADLOCK, GNU),
            ran("py", "torch-numpy-multiply", Verdict.OK, GNU, profile="mkl-sequential"),
        ],
    ),
    (
        "no-init-at-fork-cures", UNTESTED, "no forked child hangs in MKL", PIP,
        [
            HANGS,
            forked("kmp-no-init-at-fork", Verdict.OK),
            ran("py", "multiply", Verdict.HANG, (OPENBLAS.path,)),
        ],
    ),
    (
        "remedy-other-blas", REFUTED, "OpenBLAS 0.3.30 (pthreads) hangs too", MIXTURE,
        [
            ran("py", "multiply", Verdict.OK, INTEL),
            ran("py", "multiply", Verdict.DEADLOCK, GNU, profile="mkl-gnu"),
            ran("other", "multiply", Verdict.HANG, (OPENBLAS.path,)),
        ],
    ),
    (
        "remedy-other-blas", CONFIRMED, "OpenBLAS 0.3.30 (pthreads) does not", MIXTURE,
        [
            ran("py", "torch-numpy-multiply", Verdict.DEADLOCK, GNU),
            ran("other", "torch-numpy-multiply", Verdict.OK, (OPENBLAS.path,)),
        ],
    ),
    (
        "remedy-other-blas", REFUTED, "OpenBLAS 0.3.30 (pthreads) hangs too", MIXTURE,
        [
            ran("py", "torch-numpy-multiply", Verdict.DEADLOCK, GNU),
            ran("other", "torch-numpy-multiply", Verdict.DEADLOCK, (OPENBLAS.path,)),
        ],
    ),
    (
        "remedy-other-blas", UNTESTED, "no interpreter with another", MIXTURE,
        [ran("py", "torch-numpy-multiply", Verdict.DEADLOCK, GNU)],
    ),
    ("duplicate-ok-is-harmless", UNTESTED, "two copies of libiomp5", MIXTURE, [TWICE]),
    (
        "duplicate-ok-is-harmless", REFUTED, "comes out crash",
        of(LIBIOMP, msgspec.structs.replace(LIBIOMP, path="/other/libiomp5.so")),
        [seen("package", Verdict.CRASH, layout="eager", profile="kmp-duplicate-ok")],
    ),
    (
        "duplicate-ok-is-harmless", CONFIRMED, "comes out ok",
        of(LIBIOMP, msgspec.structs.replace(LIBIOMP, path="/other/libiomp5.so")),
        [seen("package", layout="eager", profile="kmp-duplicate-ok")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "outcome", "said", "found", "results"), CASES)
def test_claim(
    claim: str, outcome: Outcome, said: str, found: Fingerprint, results: list[CellResult]
) -> None:
    told = answer(claim, found, *results)
    assert (told.outcome, told.sentence) == (outcome, told.sentence)
    assert said in told.sentence


def test_every_claim_can_be_confirmed_and_refuted_or_is_its_own_opposite() -> None:
    tested = {(claim, outcome) for claim, outcome, *_ in CASES}
    names = {claim.name for claim in CLAIMS}
    alike = {
        "one-thread-cures-fork",
        "sequential-cures-torch-after-fork",
        "sequential-cures-mkl-after-fork",
        "no-init-at-fork-cures",
    }
    for outcome in (CONFIRMED, REFUTED):
        assert {claim for claim, each in tested if each is outcome} | alike == names


def test_a_claim_names_the_cells_it_rests_on() -> None:
    told = answer(
        "remedy-lazy-starts-faster", PIP, seen("package", layout="eager"), seen("package")
    )
    assert told.cells == ("py/baseline/eager/package/main", "py/baseline/lazy/package/main")


def test_a_cell_that_cannot_be_run_gives_its_reason() -> None:
    missing = seen("create-gpt2", Verdict.UNAVAILABLE)
    told = answer("remedy-lazy-imports-one-family", PIP, TWICE, missing)
    assert (told.outcome, told.sentence) == (UNTESTED, "the layout needs Python >=3.15")


def test_the_report_shows_them() -> None:
    results = [
        replace(each, cell=replace(each.cell, target=STUDY.target)) for each in (TWICE, HANGS)
    ]
    made = report(*results, interpreters=(identified("py", PIP),))
    lines = [line.strip() for line in text(made, width=200, studies=[STUDY]).splitlines()]
    at = lines.index("a second 'import torch' runs MKL's initialisation again")
    assert lines[at + 1].startswith("refuted on py: torch/__init__ is executed 1 x")
    assert "not testable here: KMP_DUPLICATE_LIB_OK=TRUE is harmless" in lines


def test_the_report_of_another_package_shows_none() -> None:
    made = report(TWICE, HANGS, interpreters=(identified("py", PIP),))
    assert any(answer.outcome is not UNTESTED for answer in examine(made, CLAIMS, STUDY.layout))
    assert "a second 'import torch'" not in text(made, width=200, studies=[STUDY])


def test_the_target_of_the_claims_is_that_of_the_cells() -> None:
    assert read_toml(Path(STUDY.cells))["target"] == STUDY.target


def test_an_interpreter_that_there_is_not_is_not_asked() -> None:
    made = report(seen("package", Verdict.UNAVAILABLE), interpreters=(identified("py", PIP),))
    assert examine(made, CLAIMS, STUDY.layout) == ()
