"""Which BLAS a process had loaded, told from what was mapped; and which profiles cure what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.test_findings import DYNAMIC_MKL, OPENBLAS, STATIC_MKL, of
from unit.test_report_samples import cell, result

from deadlock_matrix.diagnosis.cures import cures
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import CellResult, Observation, ProbeFacts
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.studies.splitlearn.blas import blas_in_effect

PIP = known(of(OPENBLAS, STATIC_MKL), "asked")
MKL = known(of(DYNAMIC_MKL), "asked")


def mapping(*paths: str) -> CellResult:
    return with_libraries(known(paths, "/proc/self/maps"))


def with_libraries(libraries: Known[tuple[str, ...]] | Unknown) -> CellResult:
    made = result(cell(entry="multiply"))
    assert isinstance(made.observation, Known)
    observation: Observation = made.observation.value
    assert isinstance(observation.probe, Known)
    probe: ProbeFacts = msgspec.structs.replace(observation.probe.value, native_libraries=libraries)
    observation = msgspec.structs.replace(observation, probe=known(probe, "probe"))
    return msgspec.structs.replace(made, observation=known(observation, "run"))


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        (("libmkl_intel_thread.so.2", "libiomp5.so"), "MKL INTEL"),
        (("libmkl_gnu_thread.so.2",), "MKL GNU"),
        (("libmkl_tbb_thread.so.3",), "MKL TBB"),
        (("libmkl_sequential.so.2",), "MKL SEQUENTIAL"),
        (("libmkl_intel_thread.so.2", "libmkl_sequential.so.2"), "MKL INTEL and SEQUENTIAL"),
    ],
)
def test_the_layer_of_a_dynamic_mkl(layers: tuple[str, ...], name: str) -> None:
    paths = (
        DYNAMIC_MKL.path,
        "/env/lib/libmkl_core.so.2",
        *(f"/env/lib/{each}" for each in layers),
    )
    found = blas_in_effect(mapping(*paths), MKL)
    assert isinstance(found, Known) and found.value == name


def test_a_blas_without_layers_is_told_by_its_file() -> None:
    found = blas_in_effect(mapping(OPENBLAS.path, STATIC_MKL.path), PIP)
    assert isinstance(found, Known) and found.value == "OpenBLAS 0.3.30 (pthreads)"


def test_a_static_mkl_in_torch_is_not_what_numpy_computes_on() -> None:
    found = blas_in_effect(mapping(STATIC_MKL.path), PIP)
    assert isinstance(found, Unknown) and "numpy" in found.reason


@pytest.mark.parametrize(
    ("made", "fingerprint", "reason"),
    [
        (with_libraries(unknown("not read on darwin")), PIP, "not read on darwin"),
        (mapping(OPENBLAS.path), unknown("does not answer"), "does not answer"),
        (mapping("/x.so"), known(of(libraries=unknown("no reader")), "asked"), "no reader"),
    ],
)
def test_what_is_not_known_stays_so(made: CellResult, fingerprint: Any, reason: str) -> None:
    found = blas_in_effect(made, fingerprint)
    assert isinstance(found, Unknown) and found.reason == reason


# --- cures ----------------------------------------------------------------------------------------


def ran(profile: str, verdict: Verdict, **rest: Any) -> CellResult:
    return result(cell(profile=profile, context="fork", **rest), verdict)


def test_profiles_that_cure_and_that_do_not() -> None:
    (told,) = cures(
        [
            ran("baseline", Verdict.DEADLOCK),
            ran("threads-1", Verdict.OK),
            ran("mkl-gnu", Verdict.DEADLOCK),
            ran("mkl-tbb", Verdict.HANG),
            ran("mkl-intel", Verdict.ERROR),
            ran("flaky", Verdict.OK, repeat=1),
            ran("flaky", Verdict.DEADLOCK, repeat=2),
        ]
    )
    assert (told.hung, told.runs) == (1, 1)
    assert told.cured == ("threads-1",)
    assert told.uncured == ("flaky", "mkl-gnu", "mkl-tbb")
    assert told.otherwise == ("mkl-intel",)


def test_what_does_not_hang_needs_no_cure() -> None:
    assert cures([ran("baseline", Verdict.OK), ran("threads-1", Verdict.DEADLOCK)]) == ()
    assert cures([ran("threads-1", Verdict.DEADLOCK)]) == ()
    assert cures([ran("baseline", Verdict.ERROR)]) == ()


def test_places_are_apart_and_controls_are_not_told() -> None:
    told = cures(
        [
            ran("baseline", Verdict.DEADLOCK, layout="eager"),
            ran("baseline", Verdict.DEADLOCK, layout="lazy"),
            ran("threads-1", Verdict.OK, layout="lazy"),
            ran("baseline", Verdict.DEADLOCK, role=Role.POSITIVE_CONTROL),
            ran("mkl-full", Verdict.UNAVAILABLE, layout="lazy"),
        ]
    )
    assert [(each.layout, each.cured) for each in told] == [("eager", ()), ("lazy", ("threads-1",))]
