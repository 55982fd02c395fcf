"""The tables about BLAS libraries: threading layers, forked children, cures."""

from __future__ import annotations

from typing import Any

import msgspec
from unit.test_findings import DYNAMIC_MKL, OPENBLAS, STATIC_MKL, of
from unit.test_report_samples import cell, fingerprint, result
from unit.test_terminal import report

from deadlock_matrix.model.cell import Profile
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.observation import CellResult, Observation
from deadlock_matrix.model.process_facts import Library, ProcessFacts
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.terminal import text
from deadlock_matrix.studies import load_studies

GNU = ("/env/lib/libmkl_rt.so.2", "/env/lib/libmkl_gnu_thread.so.2")
INTEL = ("/env/lib/libmkl_rt.so.2", "/env/lib/libmkl_intel_thread.so.2", "/env/lib/libiomp5.so")


def identified(name: str, found: Fingerprint) -> InterpreterFacts:
    return msgspec.structs.replace(fingerprint(name), fingerprint=known(found, "asked"))


INTERPRETERS = (
    identified("pip-mkl", of(DYNAMIC_MKL, STATIC_MKL)),
    identified("pip-torch", of(OPENBLAS, STATIC_MKL)),
)


def ran(
    interpreter: str, entry: str, verdict: Verdict, mapped: tuple[str, ...], **rest: Any
) -> CellResult:
    """A result with these libraries: from the probe if it ended, from the evidence if it hung."""
    context = rest.pop("context", "fork-again")
    layout = rest.pop("layout", "lazy")
    made = result(
        cell(interpreter=interpreter, entry=entry, context=context, layout=layout, **rest), verdict
    )
    assert isinstance(made.observation, Known)
    seen: Observation = made.observation.value
    if isinstance(seen.probe, Known):
        probe = msgspec.structs.replace(
            seen.probe.value,
            native_libraries=known(mapped, "maps"),
            threads=known(("python",) * len(mapped), "task"),
        )
        seen = msgspec.structs.replace(seen, probe=known(probe, "probe"))
    elif isinstance(seen.evidence, Known):
        evidence = seen.evidence.value
        snapshot = msgspec.structs.replace(evidence.after, processes=(process(mapped),))
        evidence = msgspec.structs.replace(evidence, after=snapshot)
        seen = msgspec.structs.replace(seen, evidence=known(evidence, "procfs"))
    return msgspec.structs.replace(made, observation=known(seen, "run"))


def process(mapped: tuple[str, ...]) -> ProcessFacts:
    nothing = unknown("not read")
    return ProcessFacts(
        pid=100,
        own_pid=100,
        parent=1,
        started=1,
        executable=nothing,
        threads=(),
        threads_after=(),
        signals=nothing,
        tracer=nothing,
        timers=nothing,
        descriptors=nothing,
        own_descriptors=nothing,
        descriptors_in_flight=nothing,
        shares_memory_with=nothing,
        libraries=known(tuple(Library(path=path, start=1) for path in mapped), "maps"),
        special_mappings=nothing,
        python=nothing,
    )


def shown(*results: CellResult) -> list[str]:
    made: Report = report(*results, interpreters=INTERPRETERS)
    return text(made, width=100, studies=load_studies()).splitlines()


def section(lines: list[str], title: str) -> list[str]:
    begin = lines.index(title) + 1
    rest = lines[begin:]
    return [line.strip() for line in rest[: rest.index("")]] if "" in rest else rest


def test_forked_children_by_blas() -> None:
    lines = shown(
        ran("pip-torch", "multiply", Verdict.OK, (OPENBLAS.path,)),
        ran("pip-mkl", "multiply", Verdict.OK, INTEL),
        ran("pip-mkl", "torch-numpy-multiply", Verdict.DEADLOCK, GNU),
        ran("pip-mkl", "torch-numpy-multiply", Verdict.DEADLOCK, GNU, profile="mkl-gnu"),
        ran("pip-mkl", "package-multiply", Verdict.DEADLOCK, GNU, layout="eager"),
        ran("pip-mkl", "package-multiply", Verdict.OK, INTEL, layout="lazy"),
        ran("pip-mkl", "create", Verdict.DEADLOCK, GNU),  # does not ask numpy for a product
    )
    assert fields(section(lines, "A product of matrices in a forked child")) == [
        ["BLAS in the process", "numpy", "torch, numpy"],
        ["MKL GNU", "-", "deadlock"],
        ["pip-mkl"],
        ["MKL INTEL", "ok", "-"],
        ["pip-mkl"],
        ["OpenBLAS 0.3.30 (pthreads)", "ok", "-"],
        ["pip-torch"],
    ]
    at = lines.index("  BLAS in the process   eager package   lazy package")
    assert fields([line.strip() for line in lines[at : at + 6]]) == [
        ["BLAS in the process", "eager package", "lazy package"],
        ["MKL GNU", "deadlock", "-"],
        ["pip-mkl"],
        ["MKL INTEL", "-", "ok"],
        ["pip-mkl"],
    ]


def fields(lines: list[str]) -> list[list[str]]:
    return [
        [field.strip() for field in line.split("  ") if field.strip()]
        for line in lines
        if line and set(line) != {"-"}
    ]


def test_only_profiles_that_choose_threads_are_in_the_table_of_forks() -> None:
    layer = {"MKL_THREADING_LAYER": "GNU"}
    one = ran("pip-mkl", "multiply", Verdict.OK, GNU, profile="threads-1")
    cell_ = msgspec.structs.replace(
        one.cell, profile=Profile(name="threads-1", set={"OMP_NUM_THREADS": "1"})
    )
    lines = shown(
        msgspec.structs.replace(one, cell=cell_),
        *(
            msgspec.structs.replace(
                each,
                cell=msgspec.structs.replace(
                    each.cell, profile=Profile(name=each.cell.profile.name, set=layer)
                ),
            )
            for each in (
                ran("pip-mkl", "multiply", Verdict.DEADLOCK, GNU, profile="mkl-gnu"),
                ran("pip-mkl", "multiply", Verdict.HANG, GNU, profile="mkl-gnu", repeat=2),
            )
        ),
    )
    table = fields(section(lines, "A product of matrices in a forked child"))
    assert table[1] == ["MKL GNU", "deadlock 1, hang 1"]


def test_what_the_threading_layer_changes() -> None:
    lines = shown(
        ran("pip-mkl", "multiply", Verdict.OK, INTEL, context="main"),
        ran("pip-mkl", "multiply", Verdict.OK, INTEL, context="main", profile="mkl-intel"),
        ran("pip-mkl", "multiply", Verdict.OK, GNU, context="main", profile="mkl-gnu"),
        ran("pip-torch", "multiply", Verdict.OK, (OPENBLAS.path,), context="main"),
        ran("pip-torch", "multiply", Verdict.OK, (OPENBLAS.path,), context="main", profile="x"),
    )
    assert section(lines, "What numpy computes on") == [
        "pip-mkl:",
        "MKL INTEL, 3 threads: baseline, mkl-intel",
        "MKL GNU, 2 threads: mkl-gnu",
        "pip-torch: OpenBLAS 0.3.30 (pthreads), 1 thread, under every profile",
    ]


def test_cures() -> None:
    lines = shown(
        *(
            ran("pip-mkl", entry, verdict, GNU, profile=profile)
            for entry in ("torch-numpy-multiply", "multiply")
            for profile, verdict in (
                ("baseline", Verdict.DEADLOCK),
                ("mkl-gnu", Verdict.DEADLOCK),
                ("threads-1", Verdict.OK),
                ("mkl-tbb", Verdict.OK),
            )
        )
    )
    assert section(lines, "Cures, and what cures nothing") == [
        "pip-mkl/lazy/multiply/fork-again: hung in 1 of 1 run",
        "pip-mkl/lazy/torch-numpy-multiply/fork-again: hung in 1 of 1 run",
        "cured by mkl-tbb and threads-1",
        "not by mkl-gnu",
    ]


def test_findings_stand_under_the_interpreter() -> None:
    lines = shown(ran("pip-mkl", "multiply", Verdict.OK, INTEL, context="main"))
    begin = next(at for at, line in enumerate(lines) if line.startswith("pip-mkl: "))
    assert "MKL is dynamic, libmkl_rt.so.2 (numpy, torch)" in lines[begin + 1]


def test_nothing_is_said_where_nothing_was_asked() -> None:
    lines = shown(ran("pip-torch", "create", Verdict.OK, (), context="main"))
    assert "What numpy computes on" not in lines
    assert "A product of matrices in a forked child" not in lines
    assert "Cures, and what cures nothing" not in lines
