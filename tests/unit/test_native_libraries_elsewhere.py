"""Native libraries of macOS and Windows, told from files that are made here.

The readers are plain code and run on every system; the files were never loaded by a real loader.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from unit.native_factory import make_dll, make_mach_o, make_universal
from unit.native_world import install, posix, read, short

from deadlock_matrix.interpreters.native.file import Malformed
from deadlock_matrix.interpreters.native.mach_o_files import read_mach_o
from deadlock_matrix.model.fact import Known, Unknown

ACCELERATE = "/System/Library/Frameworks/Accelerate.framework/Versions/A/Accelerate"
SHUTDOWN = "_ZZN6google8protobuf8internal12ShutdownData3getEvE4data"
X86_64, ARM64 = 0x01000007, 0x0100000C


@posix
def test_torch_and_scikit_learn_on_macos(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "torch", "torch/_C.so", "torch/lib/libtorch_cpu.dylib")
    install(site, "scikit-learn", "sklearn/_loss.so", "sklearn/.dylibs/libomp.dylib")
    make_mach_o(
        site / "torch/_C.so", needs=["@rpath/libtorch_cpu.dylib"], rpath=["@loader_path/lib"]
    )
    make_mach_o(
        site / "torch/lib/libtorch_cpu.dylib",
        name="@rpath/libtorch_cpu.dylib",
        needs=["@rpath/libomp.dylib", "/usr/lib/libSystem.B.dylib"],
        weakly=[ACCELERATE],
        imports=["__kmpc_fork_call"],
    )
    make_mach_o(
        site / "torch/lib/libomp.dylib",
        exports={"__kmpc_fork_call": False, "GOMP_parallel": False},
        text=b"@(#) LLVM OMP performance library (dynamic) ver. 5.0.20140926 \0",
    )
    make_mach_o(site / "sklearn/_loss.so", needs=["@loader_path/.dylibs/libomp.dylib"])
    make_mach_o(site / "sklearn/.dylibs/libomp.dylib", exports={"__kmpc_fork_call": False})
    libraries = read(tmp_path, system="darwin")
    assert short(libraries) == [
        ("Accelerate", "Accelerate", "", ("torch",)),
        ("libomp", "libomp.dylib", "", ("scikit-learn",)),
        ("libomp", "libomp.dylib", "", ("torch",)),
    ]
    assert [each.system for each in libraries] == [True, False, False]
    assert libraries[0].version == Unknown(reason="it is a part of macOS")
    assert isinstance(libraries[1].version, Unknown)
    assert libraries[2].version == Known(value="5.0.20140926", source="a text in the file")


@posix
def test_two_copies_of_protobuf_that_share_a_variable(tmp_path: Path) -> None:
    site = tmp_path / "site"
    lock = "_ZN4absl12lts_202308025Mutex4LockEv"
    install(site, "pyarrow", "pyarrow/libarrow.dylib")
    install(site, "tensorflow", "tensorflow/libtensorflow.dylib")
    make_mach_o(
        site / "pyarrow/libarrow.dylib",
        exports={SHUTDOWN: True, "_ZN6google8protobuf8internal10LogMessageD1Ev": False},
    )
    make_mach_o(site / "tensorflow/libtensorflow.dylib", exports={SHUTDOWN: True, lock: False})
    rows = {(each.name, *each.users): each for each in read(tmp_path, system="darwin")}
    assert set(rows) == {
        ("protobuf", "pyarrow"),
        ("protobuf", "tensorflow"),
        ("Abseil", "tensorflow"),
    }
    for user in ("pyarrow", "tensorflow"):
        assert rows["protobuf", user].shared_symbols == (SHUTDOWN,)
    assert rows["protobuf", "pyarrow"].version == Known(
        value="before 22", source="names in the file: it has its own logging"
    )
    assert rows["Abseil", "tensorflow"].shared_symbols == ()


@posix
def test_the_search_of_macos(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "one", "one/module.so")
    make_mach_o(site / "one/module.so", needs=["@rpath/libmiddle.dylib"], rpath=[f"{tmp_path}/own"])
    # What it loads has no folders of its own, and finds it in those of its loader.
    make_mach_o(tmp_path / "own/libmiddle.dylib", needs=["@rpath/libtbb.12.dylib"])
    for folder in ("own", "given"):
        make_mach_o(tmp_path / folder / "libtbb.12.dylib", exports={"TBB_runtime_version": False})
    (library,) = read(tmp_path, system="darwin")
    assert Path(library.path).parent.name == "own"
    (library,) = read(tmp_path, system="darwin", DYLD_LIBRARY_PATH=f"{tmp_path}/given")
    assert Path(library.path).parent.name == "given"


def test_the_part_of_a_universal_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intel = make_mach_o(tmp_path / "1", exports={"GOMP_parallel": False}, processor=X86_64)
    apple = make_mach_o(
        tmp_path / "2", exports={"__kmpc_fork_call": True}, needs=["x"], processor=ARM64
    )
    both = make_universal(tmp_path / "both", intel, apple)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    found = read_mach_o(str(both))
    assert (found.machine, found.needs, dict(found.exports)) == (
        "arm64",
        ("x",),
        {"__kmpc_fork_call": True},
    )
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert read_mach_o(str(both)).exports == {"GOMP_parallel": False}


@pytest.mark.parametrize("size", [4, 20, 40, 100, 300])
def test_a_cut_mach_o_file_is_malformed_or_says_less(tmp_path: Path, size: int) -> None:
    path = make_mach_o(tmp_path / "x", exports={"GOMP_parallel": False}, needs=["y"])
    path.write_bytes(path.read_bytes()[:size])
    try:
        found = read_mach_o(str(path))
    except Malformed as error:
        assert "not a readable Mach-O file" in str(error)
    else:
        assert found.exports == {}


def test_torch_and_numpy_on_windows(tmp_path: Path) -> None:
    pytest.importorskip("pefile")
    site = tmp_path / "site"
    install(site, "torch", "torch/_C.pyd", "torch/lib/torch_cpu.dll", "torch/lib/libiomp5md.dll")
    install(site, "numpy", "numpy/_core/_umath.pyd", "numpy.libs/libscipy_openblas64_-63.dll")
    make_dll(site / "torch/_C.pyd", needs={"torch_cpu.dll": ["f"]})
    make_dll(
        site / "torch/lib/torch_cpu.dll",
        needs={"LIBIOMP5MD.dll": ["__kmpc_fork_call", "omp_get_max_threads"]},
        exports=["f"],
        text=b"Product\x0020240605\0Intel(R) oneAPI Math Kernel Library Version \0",
    )
    make_dll(
        site / "torch/lib/libiomp5md.dll",
        exports=["GOMP_parallel", "__kmpc_fork_call"],
        text=b"@(#) Intel(R) OMP performance library (dynamic) ver. 5.0.20260213 Copyright\0",
    )
    make_dll(
        site / "numpy/_core/_umath.pyd", needs={"libscipy_openblas64_-63.dll": ["scipy_dgemm_64_"]}
    )
    make_dll(
        site / "numpy.libs/libscipy_openblas64_-63.dll",
        exports=["scipy_openblas_get_config64_", "scipy_dgemm_64_"],
    )
    libraries = read(tmp_path, system="win32", SYSTEMROOT=str(tmp_path / "windows"), PATH="")
    assert short(libraries) == [
        ("MKL", "torch_cpu.dll", "OpenMP (libiomp5)", ("torch",)),
        ("OpenBLAS", "libscipy_openblas64_-63.dll", "", ("numpy",)),
        ("libiomp5", "libiomp5md.dll", "", ("torch",)),
    ]
    assert [each.static for each in libraries] == [True, False, False]
    assert [each.version.value for each in libraries if isinstance(each.version, Known)] == [
        "build 20240605",
        "5.0.20260213",
    ]
