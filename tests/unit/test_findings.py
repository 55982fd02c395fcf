"""Named findings from fingerprints of environments as they are met."""

from __future__ import annotations

from typing import Any

from unit.test_report_samples import fingerprint

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary, Running
from deadlock_matrix.studies.numerics.findings import findings, short_name

GOMP = "/env/torch/lib/libgomp.so.1"
IOMP = "/env/lib/libiomp5.so"


def library(name: str, kind: LibraryKind, path: str, *users: str, **rest: Any) -> NativeLibrary:
    values: dict[str, Any] = {"version": unknown("not told"), "users": users} | rest
    return NativeLibrary(name=name, kind=kind, path=path, **values)


OPENBLAS = library(
    "OpenBLAS", LibraryKind.BLAS, "/env/numpy.libs/libscipy_openblas64_.so", "numpy", "torch",
    threading="pthreads", version=known("0.3.30", "file"),
)  # fmt: skip
STATIC_MKL = library(
    "MKL", LibraryKind.BLAS, "/env/torch/lib/libtorch_cpu.so", "torch", static=True
)
DYNAMIC_MKL = library("MKL", LibraryKind.BLAS, "/env/lib/libmkl_rt.so.2", "numpy", "torch")
LIBGOMP = library("libgomp", LibraryKind.OPENMP, GOMP, "torch")
LIBIOMP = library("libiomp5", LibraryKind.OPENMP, IOMP, "intel-openmp", "numpy")


def of(*libraries: NativeLibrary, **rest: Any) -> Fingerprint:
    facts = fingerprint().fingerprint
    assert isinstance(facts, Known)
    values = {name: getattr(facts.value, name) for name in Fingerprint.__struct_fields__}
    return Fingerprint(**(values | {"libraries": known(libraries, "files")} | rest))


def sentences(found: Fingerprint) -> dict[str, str]:
    return {each.name: each.sentence for each in findings(found)}


def test_pip_s_torch() -> None:
    assert sentences(of(OPENBLAS, STATIC_MKL, LIBGOMP)) == {
        "different-blas": "numpy computes on OpenBLAS 0.3.30 (pthreads), torch on MKL (static)",
        "mkl-static": "MKL is static in libtorch_cpu.so (torch): MKL_THREADING_LAYER has no "
        "effect there",
    }


def test_the_mixture_of_an_anaconda_environment() -> None:
    found = findings(of(DYNAMIC_MKL, STATIC_MKL, LIBGOMP, LIBIOMP))
    told = {each.name: each for each in found}
    assert told["several-openmp-runtimes"].sentence == (
        "two OpenMP runtimes: libgomp from torch, libiomp5 from intel-openmp, numpy"
    )
    assert told["several-openmp-runtimes"].files == (GOMP, IOMP)
    assert {"mkl-static", "mkl-dynamic"} <= set(told)
    assert "MKL_THREADING_LAYER chooses" in told["mkl-dynamic"].sentence
    assert "different-blas" not in told


def test_copies_of_one_runtime() -> None:
    other = library("libgomp", LibraryKind.OPENMP, "/env/sklearn.libs/libgomp.so", "scikit-learn")
    assert sentences(of(LIBGOMP, other)) == {
        "copies-of-openmp": "two copies of libgomp: one for torch, one for scikit-learn"
    }


def test_a_runtime_that_nobody_loads_is_not_told() -> None:
    unused = library("libiomp5", LibraryKind.OPENMP, IOMP)
    assert sentences(of(LIBGOMP, unused)) == {}


def test_two_libraries_that_share_an_object() -> None:
    old, new = (
        library(
            "protobuf", LibraryKind.PROTOBUF, f"/env/{user}.so", user,
            version=known(version, "file"), shared_symbols=("ShutdownData",),
        )
        for user, version in (("pyarrow", "3.21"), ("tensorflow", "5.28"))
    )  # fmt: skip
    assert sentences(of(old, new)) == {
        "shared-object-of-two-versions": "protobuf 3.21 in pyarrow and protobuf 5.28 in "
        "tensorflow both export ShutdownData, so that they share one object"
    }
    assert sentences(of(new, new)) == {}  # one version twice: they agree about the object


def test_what_running_shows_and_files_do_not() -> None:
    running = Running(
        module="torch",
        version="2.13.0",
        configuration=unknown("not asked"),
        pools=unknown("not asked"),
        mapped=known((GOMP, "/opt/intel/libiomp5.so"), "maps"),
        described=known("", "asked"),
        seconds=1.0,
    )
    facts: dict[str, Known[Running] | Any] = {
        "torch": known(running, "run"),
        "numpy": unknown("import numpy did not end within 60 s"),
    }
    assert sentences(of(LIBGOMP, running=facts)) == {
        "not-told-by-files": "import torch maps libiomp5.so, which no file told",
        "does-not-run": "numpy could not be measured: import numpy did not end within 60 s",
    }


def test_libraries_that_could_not_be_read() -> None:
    assert findings(of(libraries=unknown("no reader for this format"))) == ()


def test_short_names() -> None:
    assert short_name(OPENBLAS) == "OpenBLAS 0.3.30 (pthreads)"
    assert short_name(STATIC_MKL) == "MKL (static)"
    assert short_name(LIBGOMP) == "libgomp"
