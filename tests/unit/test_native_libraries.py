"""Products in native libraries of Linux, told from files that are made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.native_factory import make_elf, write
from unit.native_world import install, posix, read, short

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Known, Unknown

SHUTDOWN = "_ZZN6google8protobuf8internal12ShutdownData3getEvE4data"
OPENBLAS = b"OpenBLAS 0.3.31 NO_LAPACKE DYNAMIC_ARCH \0"
pytestmark = posix


def test_static_mkl_beside_openblas(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "torch", "torch/_C.so", "torch/lib/libtorch_cpu.so", "torch/lib/libgomp.so.1")
    install(site, "numpy", "numpy/_core/_umath.so", "numpy.libs/libscipy_openblas64_-32.so")
    make_elf(site / "torch/_C.so", needs=["libtorch_cpu.so"], runpath="$ORIGIN:$ORIGIN/lib")
    make_elf(
        site / "torch/lib/libtorch_cpu.so",
        needs=["libgomp.so.1", "libc.so.6"],
        runpath="$ORIGIN",
        exports=["MKL_Get_Version_String", "mkl_vml_serv_openmp_get_num_procs", "dgemm_"],
        imports=["GOMP_parallel"],
        text=b"Product\x0020240605\0Intel(R) oneAPI Math Kernel Library Version \0 Build \0",
    )
    make_elf(
        site / "torch/lib/libgomp.so.1",
        name="libgomp.so.1",
        exports=["GOMP_parallel", "GOMP_5.0", "GOMP_4.5", "GOMP_5.0.1"],
    )
    make_elf(
        site / "numpy/_core/_umath.so",
        needs=["libscipy_openblas64_-32.so"],
        rpath="$ORIGIN/../../numpy.libs",
    )
    make_elf(
        site / "numpy.libs/libscipy_openblas64_-32.so",
        exports=["scipy_openblas_get_config64_", "exec_blas", "exec_blas_async"],
        imports=["pthread_create"],
        text=OPENBLAS,
    )
    libraries = read(tmp_path)
    assert short(libraries) == [
        ("MKL", "libtorch_cpu.so", "OpenMP (libgomp)", ("torch",)),
        ("OpenBLAS", "libscipy_openblas64_-32.so", "pthreads", ("numpy",)),
        ("libgomp", "libgomp.so.1", "", ("torch",)),
    ]
    assert [each.static for each in libraries] == [True, False, False]
    assert not any(each.system for each in libraries)
    versions = [each.version for each in libraries]
    assert [each.value for each in versions if isinstance(each, Known)] == [
        "build 20240605",
        "0.3.31",
        "GOMP_5.0.1",
    ]


@pytest.mark.parametrize(
    ("exports", "imports", "threading"),
    [
        (["exec_blas", "exec_blas_async"], ["pthread_create"], "pthreads"),
        (["exec_blas"], ["GOMP_parallel"], "OpenMP (libgomp)"),
        (["exec_blas"], ["__kmpc_fork_call"], "OpenMP"),
        ([], [], "serial"),
    ],
)
def test_how_openblas_makes_threads(
    tmp_path: Path, exports: list[str], imports: list[str], threading: str
) -> None:
    install(tmp_path / "site", "one", "one/lib/libopenblas.so.0")
    make_elf(
        tmp_path / "site/one/lib/libopenblas.so.0",
        exports=["openblas_get_config", *exports],
        imports=imports,
    )
    (library,) = read(tmp_path)
    assert (library.name, library.threading) == ("OpenBLAS", threading)
    assert isinstance(library.version, Unknown)


def test_the_blas_of_the_library_path(tmp_path: Path) -> None:
    """As in Debian: one name, and folders of which each has another BLAS under it."""
    install(tmp_path / "site", "numpy", "numpy/core.so")
    make_elf(tmp_path / "site/numpy/core.so", needs=["libblas.so.3"])
    make_elf(
        tmp_path / "openblas/libblas.so.3",
        needs=["libopenblas.so.0"],
        exports=["dgemm_"],
        runpath="$ORIGIN",
        imports=["exec_blas"],
    )
    make_elf(tmp_path / "openblas/libopenblas.so.0", exports=["openblas_get_config", "dgemm_"])
    make_elf(tmp_path / "reference/libblas.so.3.11.0", exports=["dgemm_"], name="libblas.so.3")
    (tmp_path / "reference/libblas.so.3").symlink_to("libblas.so.3.11.0")
    make_elf(
        tmp_path / "blis/libblas.so.3",
        exports=["dgemm_"],
        imports=["pthread_create"],
        text=b"libblis: %s\0BLIS_NUM_THREADS\0virtual\0optimzd\0native\x000.9.0\0",
    )
    make_elf(tmp_path / "mkl/libmkl_rt.so.3", exports=["MKL_Get_Version_String"])
    (tmp_path / "mkl/libblas.so.3").symlink_to("libmkl_rt.so.3")
    make_elf(tmp_path / "mine/libblas.so.3", exports=["dgemm_"], imports=["pthread_create"])
    found = {
        folder: short(read(tmp_path, LD_LIBRARY_PATH=str(tmp_path / folder)))
        for folder in ("openblas", "reference", "blis", "mkl", "mine")
    }
    assert found == {
        "openblas": [("OpenBLAS", "libopenblas.so.0", "serial", ("numpy",))],
        "reference": [("reference BLAS", "libblas.so.3.11.0", "serial", ("numpy",))],
        "blis": [("BLIS", "libblas.so.3", "pthreads", ("numpy",))],
        "mkl": [("MKL", "libmkl_rt.so.3", "chosen at run time", ("numpy",))],
        "mine": [("unrecognised BLAS", "libblas.so.3", "", ("numpy",))],
    }
    (reference,) = read(tmp_path, LD_LIBRARY_PATH=str(tmp_path / "reference"))
    assert reference.version == Known(value="3.11.0", source="its file name")


def test_what_mkl_opens_when_it_is_used(tmp_path: Path) -> None:
    site, lib = tmp_path / "site", tmp_path / "lib"
    install(site, "mkl-service", "mkl/_init.so")
    install(site, "mkl", "../lib/libmkl_rt.so.3", version="2026.2.0")
    make_elf(site / "mkl/_init.so", needs=["libmkl_rt.so.3"], rpath="$ORIGIN/../../lib")
    make_elf(lib / "libmkl_rt.so.3", exports=["MKL_Get_Version_String"])
    make_elf(lib / "libmkl_core.so.3", exports=["mkl_serv_get_version_string"])
    make_elf(lib / "libmkl_intel_thread.so.3")
    make_elf(lib / "libmkl_sequential.so.3")
    make_elf(
        lib / "libiomp5.so",
        exports=["__kmpc_fork_call"],
        text=b"@(#) Intel(R) OMP performance library (dynamic) ver. 5.0.20260828 Copyright\0",
    )
    make_elf(lib / "libtbb.so.12", exports=["TBB_runtime_version"])
    libraries = read(tmp_path)
    assert short(libraries) == [
        ("MKL", "libmkl_rt.so.3", "chosen at run time", ("mkl-service",)),
        ("libiomp5", "libiomp5.so", "", ("mkl-service",)),
    ]
    assert libraries[0].version == Known(value="2026.2.0", source="metadata of mkl")
    assert libraries[1].version == Known(value="5.0.20260828", source="a text in the file")
    make_elf(lib / "libmkl_tbb_thread.so.3")
    assert short(read(tmp_path))[2:] == [("TBB", "libtbb.so.12", "", ("mkl-service",))]


def test_mkl_linked_with_one_layer(tmp_path: Path) -> None:
    install(tmp_path / "site", "torch", "torch/_C.so")
    needs = ["libmkl_intel_lp64.so.2", "libmkl_gnu_thread.so.2", "libmkl_core.so.2"]
    make_elf(tmp_path / "site/torch/_C.so", needs=needs, rpath=str(tmp_path))
    for name in needs:
        make_elf(tmp_path / name, exports=["MKL_Get_Version_String"])
    make_elf(tmp_path / "libmkl_sequential.so.2")
    (library,) = read(tmp_path)
    assert short((library,)) == [("MKL", "libmkl_core.so.2", "OpenMP (libgomp)", ("torch",))]


@pytest.mark.parametrize(
    ("file", "symbol", "name", "threading"),
    [
        ("libflexiblas.so.3", "flexiblas_get_version", "FlexiBLAS", "chosen at run time"),
        ("libblas.so.3", "ATL_buildinfo", "ATLAS", ""),
        ("libarmpl_lp64_mp.so", "dgemm_", "Arm Performance Libraries", ""),
        ("libnvpl_blas_core.so.0", "dgemm_", "NVPL", ""),
        ("libblis.so.4", "bli_info_get_version_str", "BLIS", "serial"),
    ],
)
def test_other_makers(tmp_path: Path, file: str, symbol: str, name: str, threading: str) -> None:
    install(tmp_path / "site", "one", f"one/{file}")
    make_elf(tmp_path / "site/one" / file, exports=[symbol])
    (library,) = read(tmp_path)
    assert (library.name, library.threading) == (name, threading)
    assert isinstance(library.version, Unknown)


def test_the_version_that_conda_knows(tmp_path: Path) -> None:
    install(tmp_path / "site", "numpy", "numpy/core.so")
    make_elf(tmp_path / "site/numpy/core.so", needs=["libmkl_rt.so.2"], rpath="$ORIGIN/../../lib")
    make_elf(tmp_path / "lib/libmkl_rt.so.2", exports=["MKL_Get_Version_String"])
    for name in ("mkl-service-2.4.0-py311_1", "mkl-2023.1.0-h213fc3f_46344"):
        write(tmp_path / f"conda-meta/{name}.json", b"{}")
    (library,) = read(tmp_path)
    assert library.version == Known(
        value="2023.1.0", source="conda-meta/mkl-2023.1.0-h213fc3f_46344.json"
    )


def test_protobuf_and_abseil(tmp_path: Path) -> None:
    site = tmp_path / "site"
    lock = "_ZN4absl12lts_202308025Mutex4LockEv"
    hook = "AbslInternalMutexYield_lts_20230802"
    install(site, "old", "old/libold.so")
    install(site, "new", "new/libnew.so")
    install(site, "system", "system/libprotobuf.so.32", "system/libabsl_synchronization.so")
    make_elf(
        site / "old/libold.so",
        weak=[SHUTDOWN],
        exports=["_ZN6google8protobuf8internal10LogMessage6FinishEv"],
    )
    make_elf(
        site / "new/libnew.so",
        weak=[SHUTDOWN, hook],
        exports=[lock, "_ZN6google8protobuf5Arena3addEN4absl12lts_2023080211string_viewE"],
    )
    make_elf(site / "system/libprotobuf.so.32", name="libprotobuf.so.32", exports=[SHUTDOWN])
    make_elf(
        site / "system/libabsl_synchronization.so",
        name="libabsl_synchronization.so.20220623",
        exports=["_ZN4absl7debian35Mutex4LockEv"],
    )
    rows = {(each.users[0], each.name): each for each in read(tmp_path)}
    assert {
        key: (row.static, row.version.value, row.shared_symbols)
        for key, row in rows.items()
        if isinstance(row.version, Known)
    } == {
        ("old", "protobuf"): (True, "before 22", (SHUTDOWN,)),
        ("new", "protobuf"): (True, "22 or later", (SHUTDOWN,)),
        ("new", "Abseil"): (True, "20230802", (hook,)),
        ("system", "protobuf"): (False, "libprotobuf.so.32", ()),
        ("system", "Abseil"): (False, "20220623", ()),
    }
    assert {row.kind for row in rows.values()} == {LibraryKind.PROTOBUF, LibraryKind.ABSEIL}
