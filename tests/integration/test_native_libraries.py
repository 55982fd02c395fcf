"""What is read from native files, beside what a real loader maps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from unit.native_world import install
from unit.native_world import read as read_folder

from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.interpreters.question import ask
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import NativeLibrary

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("cc"),
    reason="compiles for Linux's loader",
)

TBB = "const char *TBB_runtime_version(void) { return 0; }"
MAPPED = """
import ctypes, os, sys
ctypes.CDLL(sys.argv[1])
for line in open("/proc/self/maps"):
    if "tbb" in line.rpartition("/")[2]:
        print(os.path.realpath(line.split(maxsplit=5)[5].strip()))
"""
IMPORTED = """
import os
import {module}
if "{module}" == "numpy":
    numpy.ones((300, 300)) @ numpy.ones((300, 300))
else:
    torch.ones(300, 300) @ torch.ones(300, 300)
for line in open("/proc/self/maps"):
    fields = line.split(maxsplit=5)
    if len(fields) == 6 and fields[5].startswith("/"):
        print(os.path.realpath(fields[5].strip()))
"""


def compile_c(path: Path, source: str, *options: str, compiler: str = "cc") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    language = "c++" if compiler == "c++" else "c"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(path), "-x", language, "-"]
    done = subprocess.run(
        [*command, *options], input=source, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return path


def link(folder: Path, name: str, *paths: str, tags: str = "--enable-new-dtags") -> list[str]:
    options = [f"-Wl,{tags}", "-Wl,--no-as-needed", "-x", "none", str(folder / name)]
    return [*options, *(f"-Wl,-rpath,{path}" for path in paths)]


def run(script: str, *arguments: str, **variables: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={"PATH": "/usr/bin:/bin", **variables},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")) - {""}


def read(folder: Path, **variables: str) -> tuple[NativeLibrary, ...]:
    return read_folder(folder, sys.executable, **variables)


@pytest.mark.parametrize(
    "given", ["", "{root}/given", "/nowhere:{root}/given", "$ORIGIN/../../given"]
)
@pytest.mark.parametrize("tags", ["--enable-new-dtags", "--disable-new-dtags"])
@pytest.mark.parametrize("paths", [("$ORIGIN/../../own",), ("/nowhere", "${ORIGIN}/../../own")])
def test_as_the_loader_finds_it(
    tmp_path: Path, given: str, tags: str, paths: tuple[str, ...]
) -> None:
    for folder in ("own", "given"):
        compile_c(tmp_path / folder / "libtbb.so.12", TBB, "-Wl,-soname,libtbb.so.12")
    module = tmp_path / "site/one/module.so"
    compile_c(module, "", *link(tmp_path / "own", "libtbb.so.12", *paths, tags=tags))
    install(tmp_path / "site", "one", "one/module.so")
    path = given.format(root=tmp_path)
    mapped = run(MAPPED, str(module), LD_LIBRARY_PATH=path)
    assert len(mapped) == 1
    assert {each.path for each in read(tmp_path, LD_LIBRARY_PATH=path)} == mapped


@pytest.mark.parametrize("tags", ["--enable-new-dtags", "--disable-new-dtags"])
def test_folders_of_the_one_that_loads_it(tmp_path: Path, tags: str) -> None:
    """RPATH holds for what a library brings with it, RUNPATH does not."""
    compile_c(tmp_path / "lib/libtbb.so.98", TBB, "-Wl,-soname,libtbb.so.98")
    compile_c(tmp_path / "lib/libmiddle.so", "", *link(tmp_path / "lib", "libtbb.so.98"))
    module = tmp_path / "site/one/module.so"
    hidden = "-Wl,--allow-shlib-undefined"
    compile_c(
        module,
        "",
        *link(tmp_path / "lib", "libmiddle.so", str(tmp_path / "lib"), tags=tags),
        hidden,
    )
    install(tmp_path / "site", "one", "one/module.so")
    if tags == "--enable-new-dtags":
        with pytest.raises(AssertionError, match=r"libtbb\.so\.98: cannot open"):
            run(MAPPED, str(module))
        assert read(tmp_path) == ()
    else:
        mapped = run(MAPPED, str(module))
        assert {each.path for each in read(tmp_path)} == mapped != set()


def test_a_library_of_the_system(tmp_path: Path) -> None:
    """Found through the loader's cache, or the folders that it looks at by itself."""
    done = subprocess.run(
        ["cc", "-shared", "-fPIC", "-fopenmp", "-x", "c", "-", "-o", str(tmp_path / "probe.so")],
        input="int f(void) { int n = 0;\n#pragma omp parallel\nn++; return n; }",
        text=True,
        capture_output=True,
        timeout=300,
    )
    if done.returncode:
        pytest.skip("no OpenMP for the compiler")
    module = tmp_path / "site/one/module.so"
    module.parent.mkdir(parents=True)
    shutil.move(tmp_path / "probe.so", module)
    install(tmp_path / "site", "one", "one/module.so")
    mapped = run(MAPPED.replace('"tbb" in', '"omp" in'), str(module))
    (library,) = read(tmp_path)
    assert {library.path} == mapped
    assert (library.kind, library.system, library.users) == (LibraryKind.OPENMP, True, ("one",))


@pytest.mark.skipif(not shutil.which("c++"), reason="compiles C++")
def test_symbols_as_a_compiler_makes_them(tmp_path: Path) -> None:
    source = """
    namespace google { namespace protobuf { namespace internal {
    struct ShutdownData {
        static ShutdownData *get() { static auto *data = new ShutdownData; return data; }
    };
    void *use() { return ShutdownData::get(); }
    void VerifyVersion(int, int, const char *) {}
    }}}
    namespace absl { inline namespace lts_20230802 { struct Mutex { void Lock(); };
    void Mutex::Lock() {} } }
    extern "C" __attribute__((weak)) void AbslInternalMutexYield_lts_20230802() {}
    """
    install(tmp_path / "site", "one", "one/libone.so", "one/hidden.so")
    module = tmp_path / "site/one/libone.so"
    compile_c(module, source, compiler="c++")
    compile_c(tmp_path / "site/one/hidden.so", source, "-fvisibility=hidden", compiler="c++")
    abseil, protobuf = read(tmp_path)
    assert abseil.path == protobuf.path == str(module)
    assert abseil.static and protobuf.static
    assert abseil.version == Known(value="20230802", source="names of its symbols")
    assert abseil.shared_symbols == ("AbslInternalMutexYield_lts_20230802",)
    assert protobuf.shared_symbols == ("_ZZN6google8protobuf8internal12ShutdownData3getEvE4data",)


def test_texts_as_a_compiler_places_them(tmp_path: Path) -> None:
    source = (
        f"const char filler[{9 << 20}] = {{1}};\n"
        'const char config[] = "OpenBLAS 0.3.99 DYNAMIC_ARCH ";\n'
        "const char *openblas_get_config(void) { return config; }"
    )
    compile_c(tmp_path / "site/one/libopenblas.so.0", source)
    install(tmp_path / "site", "one", "one/libopenblas.so.0")
    (library,) = read(tmp_path)
    assert library.version == Known(value="0.3.99", source="a text in the file")
    assert library.threading == "serial"


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_what_this_interpreter_maps(module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed here")
    found = identify(Interpreter(name="this", executable=sys.executable), None, 60.0).fingerprint
    assert isinstance(found, Known)
    assert isinstance(found.value.libraries, Known)
    told = {each.path for each in found.value.libraries.value if module in each.users}
    mapped = run(IMPORTED.format(module=module))
    assert told <= mapped
    pools = ("blas", "blis", "mkl_rt", "gomp", "iomp5", "libomp")
    seen = {path for path in mapped if any(word in Path(path).name for word in pools)}
    wrappers = {path for path in seen if Path(path).name.startswith(("libblas.so", "libcblas.so"))}
    # What a module imports without needing it is told of that: torch imports numpy.
    anybody = {each.path for each in found.value.libraries.value}
    assert seen - wrappers <= anybody | set(_modules(module))


def _modules(name: str) -> list[str]:
    said = ask(sys.executable, 60.0)
    assert isinstance(said, Known)
    found = distributions(name=name, path=list(said.value.site_packages))
    return [str(file.locate()) for each in found for file in each.files or ()]
