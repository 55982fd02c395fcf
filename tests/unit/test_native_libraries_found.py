"""Which native files of Linux are loaded and by whom: found as the loader finds them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from unit.native_factory import AARCH64, make_elf, write
from unit.native_world import answer, install, installed, posix, read, short

from deadlock_matrix.interpreters.native.file import NativeFile, find_text
from deadlock_matrix.interpreters.native.libraries import read_libraries
from deadlock_matrix.interpreters.native.linux_search import read_cache
from deadlock_matrix.model.fact import Known, Unknown

pytestmark = posix


def test_the_library_path_comes_after_rpath_and_before_runpath(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for folder in ("own", "given"):
        make_elf(tmp_path / folder / "libtbb.so.12", exports=["TBB_runtime_version"])
    install(site, "one", "one/by_rpath.so", "one/by_runpath.so", "one/by_both.so")
    own = str(tmp_path / "own")
    needs = ["libtbb.so.12"]
    make_elf(site / "one/by_rpath.so", needs=needs, rpath=own)
    assert [
        Path(each.path).parent.name for each in read(tmp_path, LD_LIBRARY_PATH=f"{tmp_path}/given")
    ] == ["own"]
    (site / "one/by_rpath.so").unlink()
    for name, paths in (
        ("by_runpath", {"runpath": own}),
        ("by_both", {"runpath": own, "rpath": own}),
    ):
        make_elf(site / f"one/{name}.so", needs=needs, **paths)
        (library,) = read(tmp_path, LD_LIBRARY_PATH=f"{tmp_path}/given")
        assert Path(library.path).parent.name == "given"
        (library,) = read(tmp_path)
        assert Path(library.path).parent.name == "own"
        (site / f"one/{name}.so").unlink()


def test_a_runpath_makes_the_rpath_of_itself_and_of_its_loaders_void(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "one", "one/module.so")
    for folder in ("far", "near"):
        make_elf(tmp_path / folder / "libtbb.so.12", exports=["TBB_runtime_version"])
    middle, rpath = tmp_path / "far/libmiddle.so", f"{tmp_path}/far"
    make_elf(site / "one/module.so", needs=["libmiddle.so"], rpath=rpath)
    make_elf(middle, needs=["libtbb.so.12"], runpath=f"{tmp_path}/near")
    (library,) = read(tmp_path)
    assert Path(library.path).parent.name == "near"
    make_elf(middle, needs=["libtbb.so.12"])
    (library,) = read(tmp_path)
    assert Path(library.path).parent.name == "far"
    (tmp_path / "middle").mkdir()
    middle.rename(tmp_path / "middle/libmiddle.so")
    make_elf(
        site / "one/module.so", needs=["libmiddle.so"], rpath=rpath, runpath=f"{tmp_path}/middle"
    )
    (library,) = read(tmp_path, LD_LIBRARY_PATH=f"{tmp_path}/near")
    assert Path(library.path).parent.name == "near"


def test_the_search_path_of_the_executable_holds_for_modules(tmp_path: Path) -> None:
    """As in conda: modules name no folder, the executable does."""
    install(tmp_path / "site", "one", "one/module.so")
    make_elf(tmp_path / "site/one/module.so", needs=["libmiddle.so"])
    make_elf(tmp_path / "lib/libmiddle.so", needs=["libiomp5.so"])
    make_elf(tmp_path / "lib/libiomp5.so", exports=["__kmpc_fork_call", "GOMP_parallel"])
    python = make_elf(tmp_path / "bin/python", rpath="$ORIGIN/../lib")
    assert short(read(tmp_path, str(python))) == [("libiomp5", "libiomp5.so", "", ("one",))]
    make_elf(tmp_path / "bin/python", runpath="$ORIGIN/../lib")
    assert read(tmp_path, str(python)) == ()


def test_of_two_with_one_name_the_first_is_imported(tmp_path: Path) -> None:
    found = []
    for site in ("own", "system"):
        install(tmp_path / site, "numpy", "numpy/core.so")
        make_elf(tmp_path / site / "numpy/core.so", exports=["openblas_get_config"])
        found += installed(tmp_path / site)
    libraries = read_libraries(answer(tmp_path), found, {}, "linux")
    assert isinstance(libraries, Known)
    assert [each.path for each in libraries.value] == [str(tmp_path / "own/numpy/core.so")]


def test_every_copy_is_a_row_with_its_users(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name in ("one", "two"):
        install(site, name, f"{name}/module.so")
        make_elf(site / name / "module.so", needs=["libgomp-1.so"], rpath=f"$ORIGIN/../{name}.libs")
        make_elf(site / f"{name}.libs" / "libgomp-1.so", exports=["GOMP_parallel"])
    install(site, "three", "three/module.so")
    make_elf(site / "three/module.so", needs=["libgomp-1.so"], rpath="$ORIGIN/../two.libs")
    assert [(Path(each.path).parent.name, each.users) for each in read(tmp_path)] == [
        ("one.libs", ("one",)),
        ("two.libs", ("three", "two")),
    ]


def test_what_no_module_needs_is_not_loaded(tmp_path: Path) -> None:
    install(tmp_path / "site", "mkl", "../lib/libmkl_rt.so.3", "mkl.libs/libgomp.so.1")
    make_elf(tmp_path / "lib/libmkl_rt.so.3", exports=["MKL_Get_Version_String"])
    make_elf(tmp_path / "site/mkl.libs/libgomp.so.1", exports=["GOMP_parallel"])
    assert read(tmp_path) == ()
    if " " in str(tmp_path):
        pytest.skip("a space ends a path in LD_PRELOAD")
    preloaded = read(tmp_path, LD_PRELOAD=f"{tmp_path}/lib/libmkl_rt.so.3")
    assert short(preloaded) == [("MKL", "libmkl_rt.so.3", "chosen at run time", ())]
    python = make_elf(tmp_path / "bin/python", runpath="$ORIGIN/../lib")
    assert read(tmp_path, str(python), LD_PRELOAD="libnothing.so libmkl_rt.so.3") == preloaded


def test_another_machine_and_missing_libraries_are_passed_over(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "one", "one/module.so", "one/other.so", "one/gone.so", "one/text.so")
    make_elf(
        site / "one/module.so",
        needs=["libgomp.so.9", "libmissing.so", "long" * 999],
        rpath=f"{tmp_path}/other:{tmp_path}/right",
    )
    make_elf(
        site / "one/other.so", needs=["libgomp.so.9"], machine=AARCH64, rpath=f"{tmp_path}/other"
    )
    write(site / "one/text.so", b"INPUT ( libone.so )")
    make_elf(tmp_path / "other/libgomp.so.9", exports=["GOMP_parallel"], machine=AARCH64)
    make_elf(tmp_path / "right/libgomp.so.9", exports=["GOMP_parallel"])
    python = make_elf(tmp_path / "bin/python")
    assert [Path(each.path).parent.name for each in read(tmp_path, str(python))] == ["right"]


def test_without_a_list_of_files_the_folders_are_looked_at(tmp_path: Path) -> None:
    info = tmp_path / "site/Some_Thing-1.0.egg-info"
    write(info / "PKG-INFO", b"Metadata-Version: 1.0\nName: Some-Thing\nVersion: 1.0\n")
    make_elf(tmp_path / "site/some_thing/deep/module.so", exports=["GOMP_parallel"])
    assert [each.users for each in read(tmp_path)] == [("Some-Thing",)]
    write(info / "top_level.txt", b"other\n")
    assert read(tmp_path) == ()
    make_elf(tmp_path / "site/other.cpython-312.so", exports=["GOMP_parallel"])
    assert [each.static for each in read(tmp_path)] == [True]


def test_what_cannot_be_read_makes_it_unknown(tmp_path: Path) -> None:
    install(tmp_path / "site", "one", "one/module.so")
    module = tmp_path / "site/one/module.so"
    module.parent.mkdir()
    module.symlink_to(module)  # also root cannot open that
    found = read_libraries(answer(tmp_path), installed(tmp_path / "site"), {}, "linux")
    assert isinstance(found, Unknown)
    assert "one/module.so cannot be read" in found.reason


@pytest.mark.parametrize("size", [5, 20, 64, 100, 176, 230, 300])
def test_a_damaged_file_is_passed_over_and_said(tmp_path: Path, size: int) -> None:
    install(tmp_path / "site", "one", "one/module.so")
    path = make_elf(tmp_path / "site/one/module.so", exports=["GOMP_parallel"], needs=["libc.so.6"])
    path.write_bytes(path.read_bytes()[:size].ljust(400, b"\xff"))
    found = read_libraries(answer(tmp_path), installed(tmp_path / "site"), {}, "linux")
    assert isinstance(found, Known)
    assert found.value == () or found.value[0].name == "libgomp"


def test_damage_is_named(tmp_path: Path) -> None:
    install(tmp_path / "site", "one", "one/module.so")
    write(tmp_path / "site/one/module.so", b"\x7fELF and no more")
    found = read_libraries(answer(tmp_path), installed(tmp_path / "site"), {}, "linux")
    assert isinstance(found, Known)
    assert "passed over 1, such as" in found.source and "one/module.so" in found.source


@pytest.mark.parametrize("before", [0, (4 << 20) - 5, (4 << 20) - 1000, 9 << 20])
def test_texts_are_found_wherever_they_lie(tmp_path: Path, before: int) -> None:
    path = write(tmp_path / "x", bytes(7 + before) + b"OpenBLAS 0.3.99 \0" + bytes(2 << 20))
    size = path.stat().st_size - 7
    file = NativeFile(path=str(path), name="", machine="", needs=(), texts=((7, size),))
    found = find_text(file, r"OpenBLAS (\S+) ", file.texts)
    assert found is not None and found[1] == b"0.3.99"
    assert find_text(file, r"OpenBLAS (\S+) ", ((7, before + 10),)) is None


def test_the_cache_of_the_loader(tmp_path: Path) -> None:
    texts = b"libblas.so.3\0/first/libblas.so.3\0/v3/libblas.so.3\0"
    entries = [(0, 13, 0), (0, 33, 1 << 62)]
    start = 48 + 24 * len(entries)
    data = b"glibc-ld.so.cache1.1" + struct.pack("=II5I", len(entries), len(texts), 2, 0, 0, 0, 0)
    for name, path, processors in entries:
        data += struct.pack("=iIIIQ", 0x303, start + name, start + path, 0, processors)
    path = write(tmp_path / "cache", data + texts)
    assert read_cache(str(path)) == {"libblas.so.3": ("/first/libblas.so.3",)}
    old = write(tmp_path / "old", b"ld.so-1.7.0 and its table" + data + texts)
    assert read_cache(str(old)) == {"libblas.so.3": ("/first/libblas.so.3",)}
    assert read_cache(str(write(tmp_path / "cut", data[:60]))) == {}
    assert read_cache(str(tmp_path / "nothing")) == {}
