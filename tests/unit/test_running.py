"""What is run of an interpreter, and what is made of it; the running itself is in integration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.interpreters.native.running import (
    DISTRIBUTIONS,
    SCRIPT,
    did_not_end,
    is_of_a_kind,
    run_modules,
)
from deadlock_matrix.interpreters.question import TimedOut
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Running


def running(**values: object) -> Running:
    plain: dict[str, object] = {
        "module": "numpy",
        "version": "2",
        "configuration": known("", "test"),
        "pools": known((), "test"),
        "mapped": known((), "test"),
        "described": known("", "test"),
        "seconds": 0.1,
    }
    return Running(**(plain | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "libmkl_rt.so.3", "libmkl_gnu_thread.so.2", "mkl_rt.2.dll", "libopenblasp-r0.3.21.so",
        "libscipy_openblas64_-32a4b2a6.so", "libopenblas64_p-r0-15028c96.3.21.so", "libblas.so.3",
        "libcblas.so.3", "liblapack.so.3.11.0", "libblis.so.4", "libflexiblas.so.3", "Accelerate",
        "libgomp.so.1", "libgomp-a34b3233.so.1.0.0", "libiomp5.so", "libiomp5md.dll",
        "libomp.dylib", "libomp140.x86_64.dll", "vcomp140.dll", "libtbb.so.12", "tbb12.dll",
        "libprotobuf.so.32", "libabsl_synchronization.so.2308.0.0", "libtorch_cpu.so",
        "torch_cpu.dll",
    ],
)  # fmt: skip
def test_libraries_that_matter_to_a_hang(name: str) -> None:
    assert is_of_a_kind(f"/some where/lib/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "libc.so.6", "libpthread.so.0", "libtbbmalloc.so.2", "libompdemo.so", "libtorch.so",
        "libtorch_python.so", "_mklinit.cpython-311-x86_64-linux-gnu.so", "libblkid.so.1",
        "_multiarray_umath.cpython-312-x86_64-linux-gnu.so", "libpython3.12.so.1.0",
    ],
)  # fmt: skip
def test_libraries_that_do_not(name: str) -> None:
    assert not is_of_a_kind(f"/opt/mkl_/libgomp/{name}")


def test_the_script_knows_the_same_modules() -> None:
    script: dict[str, object] = {"__name__": "script"}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), script)
    for table in ("PRODUCTS", "CONFIGURATIONS"):
        found = script[table]
        assert isinstance(found, dict)
        assert set(found) == set(DISTRIBUTIONS)


def test_what_more_time_may_tell() -> None:
    late = TimedOut(reason="reading it did not end within 5 s")
    assert did_not_end(late)
    assert not did_not_end(unknown("import numpy raised ImportError: no"))
    assert not did_not_end(known(running(), "test"))
    assert not did_not_end(known(running(pools=unknown("cannot be read")), "test"))
    for name in ("configuration", "pools", "mapped", "described"):
        assert did_not_end(known(running(**{name: late}), "test"))


def test_time_that_is_up_is_written_as_unknown() -> None:
    late = TimedOut(reason="import numpy did not end within 5 s")
    read = msgspec.json.decode(msgspec.json.encode(late), type=Unknown)
    assert read == unknown("import numpy did not end within 5 s")


def test_no_modules_start_nothing() -> None:
    assert run_modules(Interpreter(name="x", executable=sys.executable), [], 1.0) == {}


@pytest.mark.parametrize("measure", [False, True])
def test_one_that_there_is_not(tmp_path: Path, measure: bool) -> None:
    reason = "conda could not solve it; see its log"
    asked = Interpreter(name="x", unavailable=reason, set={"A": "1"})
    found = identify(asked, tmp_path / "cache", measure=measure)
    assert found.fingerprint == unknown(reason)
    assert (found.name, found.executable, found.set) == ("x", "", {"A": "1"})
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")
def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    dangling = tmp_path / "python"
    dangling.symlink_to(tmp_path / "gone")
    plain = tmp_path / "plain"
    plain.write_text("")
    plain.chmod(0o644)
    for path, words in (
        (dangling, "is a link to"),
        (tmp_path / "nothing", "does not exist"),
        (plain, "is not executable"),
        (tmp_path, "is a folder"),
    ):
        found = identify(Interpreter(name="x", executable=str(path)), None, measure=True)
        assert isinstance(found.fingerprint, Unknown)
        assert words in found.fingerprint.reason
