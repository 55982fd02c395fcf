"""``deadlock-matrix diagnose`` on small packages that have nothing to do with one another.

Each answer names the user's line, nothing is tried that cannot matter, and the script hangs where a
stranger would run it: in an empty folder, without a single variable.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from deadlock_matrix.diagnosis.investigation.times import lazily
from deadlock_matrix.model.diagnosis import Diagnosis, Effect, Outcome
from deadlock_matrix.model.fact import Known

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux"),
]
PACKAGES = Path(__file__).parent.parent / "packages"
TOOL = (sys.executable, "-m", "deadlock_matrix", "diagnose", "--python", sys.executable)
STILL_THERE_S = 5.0


class Case(NamedTuple):
    """A package, what is asked about it, and what the answer has to be."""

    folder: str
    arguments: tuple[str, ...]
    lines: tuple[str, ...]  # in which it is stuck: file:number
    words: str  # of the sentence, or of a known cause
    tried: frozenset[str]
    cure: str = ""
    outcome: Outcome = Outcome.DEADLOCK
    variables: Mapping[str, str] = {}


HANGS = [
    Case("lock_cycle", ("ledger",), ("ledger/journal.py:7", "ledger/journal.py:14"),
         "held by thread", frozenset()),
    Case("import_and_join", ("warmstart",),
         ("warmstart/__init__.py:9", "warmstart/cache.py:2"),
         "waits, while it is imported, for a thread", frozenset({"after-import"}), "after-import"),
    Case("fork_in_library", ("forklib",), ("forklib/pool.py:28", "forklib/pool.py:16"),
         "A forked child waits for a Python lock", frozenset({"new-lock-in-child"}),
         "new-lock-in-child"),
    Case("fork_by_multiprocessing", ("--statement", "import mpfork\nmpfork.start()"),
         ("mpfork/__init__.py:24", "mpfork/work.py:7"), "A forked child waits for a Python lock",
         frozenset({"start-method-spawn", "start-method-forkserver", "new-lock-in-child"}),
         "start-method-"),
    Case("network_at_import", ("phonehome", "--deadline", "6"), ("phonehome/settings.py:11",),
         "127.0.0.1:", frozenset({"after-import"}), "after-import", Outcome.HANG),
    Case("under_a_variable", ("fastthing",), ("fastthing/__init__.py:11", "fastthing/pool.py:2"),
         "waits, while it is imported, for a thread",
         frozenset({"without FASTTHING_PARALLEL", "after-import"}), "without FASTTHING_PARALLEL",
         variables={"FASTTHING_PARALLEL": "1"}),
    Case("second_thread_only", ("mainonly",), ("mainonly/__init__.py:8",), "joins thread",
         frozenset({"main", "after-import"}), "main"),
    Case("order_of_imports", ("--statement", "import json\nimport alpha\nimport csv, beta"),
         ("beta/__init__.py:4",), "waits for Lock", frozenset({"order-1", "after-import"}),
         "order-1"),
    Case("lazy_exports", ("lazily",), ("lazily/left.py:5", "lazily/right.py:5"), "held by thread",
         frozenset({"main"}), "main"),
    Case("gil_fault", ("gilfault",), ("gilfault/__init__.py:11",),
         "One thread holds the GIL and waits for native code", frozenset()),
    Case("blocking_entry_point", ("serverish",), ("serverish/app.py:8",), "the only thread",
         frozenset({"after-import"}), "after-import"),
]  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def package(name: str, into: Path) -> Path:
    """A copy of a package's folder, with what is written in C compiled."""
    folder = into / "packages"
    shutil.copytree(PACKAGES / name, folder)
    for source in folder.rglob("*.c"):
        compiler, include = shutil.which("cc"), sysconfig.get_path("include")
        if compiler is None or not Path(include, "Python.h").is_file():
            pytest.skip("no C compiler, or no headers of Python's")
        module = source.with_name(source.stem + sysconfig.get_config_var("EXT_SUFFIX"))
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-pthread", "-I", include, source, "-o", module],
            check=True, timeout=100,
        )  # fmt: skip
    return folder


def diagnose(
    here: Path, folder: Path, arguments: tuple[str, ...], cache: Path, more: Mapping[str, str] = {}
) -> tuple[str, Diagnosis, float]:
    began = time.monotonic()
    done = subprocess.run(
        [*TOOL, "--path", folder, "--output", "out", *arguments],
        cwd=here,
        env={**os.environ, **more, "COLUMNS": "80", "DEADLOCK_MATRIX_CACHE": str(cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    took_s = time.monotonic() - began
    path = here / "out" / "diagnosis.json"
    assert path.exists(), done.stdout + done.stderr
    return done.stdout, msgspec.json.decode(path.read_bytes(), type=Diagnosis), took_s


def hangs_for_a_stranger(script: Path, empty: Path) -> bool:
    """Whether it is still there after a while, in an empty folder and without any variable."""
    empty.mkdir()
    shutil.copy(script, empty)
    process = subprocess.Popen(
        [sys.executable, script.name],
        cwd=empty,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(STILL_THERE_S)
    except subprocess.TimeoutExpired:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # also what it has forked
        process.wait()
    return False


@pytest.mark.parametrize("case", HANGS, ids=lambda case: case.folder)
def test_a_package_that_hangs(case: Case, cache: Path, tmp_path: Path) -> None:
    if case.folder == "fork_by_multiprocessing" and sys.version_info >= (3, 14):
        pytest.skip("multiprocessing does not fork by itself")
    folder = package(case.folder, tmp_path)
    text, found, _ = diagnose(tmp_path, folder, case.arguments, cache, case.variables)
    assert found.outcome is case.outcome, text
    lines = [f"{line.file}:{line.line}" for each in found.stuck for line in each.lines[-1:]]
    for line in case.lines:
        assert any(each.endswith(line) for each in lines), lines
        assert line in text  # on the screen too
    told = " ".join([found.sentence, *(each.title for each in found.causes)])
    assert case.words in told
    assert {trial.remedy.name for trial in found.trials} == case.tried
    cure = found.cure.remedy.name if found.cure is not None else ""
    assert cure.startswith(case.cure)
    assert bool(cure) is bool(case.cure)
    reproducer = found.reproducer
    assert reproducer is not None
    assert reproducer.hung, reproducer.alone
    assert reproducer.missing == ()
    assert str(folder) not in reproducer.text
    script = tmp_path / "out" / "reproducer.py"
    assert script.read_text().startswith("# This script hangs.")
    shutil.rmtree(folder)  # a stranger has none of it
    assert hangs_for_a_stranger(script, tmp_path / "empty")


def test_a_pool_of_processes_that_a_module_waits_for_is_told_from_slow_work(
    cache: Path, tmp_path: Path
) -> None:
    """Nothing is proved: whoever has a semaphore in shared memory open could release it."""
    (tmp_path / "pooled.py").write_text(
        "import multiprocessing\n\n\ndef square(x):\n    return x * x\n\n\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    SQUARES = pool.map(square, range(5))\n"
    )
    text, found, _ = diagnose(tmp_path, tmp_path, ("pooled", "--deadline", "6"), cache)
    assert found.outcome in (Outcome.HANG, Outcome.DEADLOCK), text
    assert [each.title.partition(" for the result")[0] for each in found.causes] == [
        "A module waits, while it is imported,"
    ]
    assert {trial.remedy.name for trial in found.trials} == {"after-import"}
    assert found.involved == ()
    assert f"{tmp_path / 'pooled.py'}:9" in text


def test_a_script_whose_children_run_it_again_is_told_to_keep_them_from_it(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "crunch.py").write_text(
        "import multiprocessing\n\n\ndef square(x):\n    return x * x\n\n\n"
        "multiprocessing.set_start_method('spawn')\npool = multiprocessing.Pool(1)\n"
        "print(pool.map(square, range(5)))\n"
    )
    done = subprocess.run(
        [*TOOL, "--output", "out", "--deadline", "6", "--script", "crunch.py"],
        cwd=tmp_path,
        env={**os.environ, "DEADLOCK_MATRIX_CACHE": str(cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    found = msgspec.json.decode((tmp_path / "out" / "diagnosis.json").read_bytes(), type=Diagnosis)
    # Children come and go for ever, so it may count as moving.
    assert found.outcome in (Outcome.SLOW, Outcome.HANG), done.stdout + done.stderr
    (cause,) = found.causes
    assert cause.title.startswith("A child process of multiprocessing runs the program's main file")
    assert f"{tmp_path / 'crunch.py'}:8" in done.stdout
    assert '+ if __name__ == "__main__":' in done.stdout
    if found.times is not None:
        saving = found.times.saving
        assert saving is not None
        assert isinstance(saving.after_s, Known)


def test_the_variable_that_it_takes_is_found_among_all_of_the_callers(
    cache: Path, tmp_path: Path
) -> None:
    folder = package("under_a_variable", tmp_path)
    more = {"FASTTHING_PARALLEL": "1"}
    _, found, _ = diagnose(tmp_path, folder, ("fastthing",), cache, more)
    assert found.reproducer is not None
    assert found.reproducer.variables is not None
    assert found.reproducer.variables.elements == ("FASTTHING_PARALLEL",)
    assert found.reproducer.variables.whole


def test_a_configured_profile_is_a_way_to_find_a_hang(cache: Path, tmp_path: Path) -> None:
    shutil.copytree(PACKAGES / "under_a_variable" / "fastthing", tmp_path / "fastthing")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.deadlock-matrix]\nstatement = 'import fastthing'\n\n"
        "[[tool.deadlock-matrix.profile]]\nname = 'parallel'\n"
        "set = { FASTTHING_PARALLEL = '1', OTHER = '2' }\n"
    )
    _, found, _ = diagnose(tmp_path, tmp_path, ("fastthing",), cache)
    assert found.outcome is Outcome.DEADLOCK
    assert found.result.cell.profile.set == {"FASTTHING_PARALLEL": "1"}
    assert found.cure is not None
    assert found.cure.remedy.name == "without FASTTHING_PARALLEL"
    assert hangs_for_a_stranger(tmp_path / "out" / "reproducer.py", tmp_path / "empty")


def test_a_slow_import_is_answered_by_module_and_line(cache: Path, tmp_path: Path) -> None:
    folder = package("slow_python", tmp_path)
    text, found, took_s = diagnose(tmp_path, folder, ("slowpure",), cache)
    assert found.outcome is Outcome.CLEAN
    times = found.times
    assert times is not None
    top = times.modules[0]  # others are what an interpreter imports by itself, in no time
    assert (top.module, [each.module for each in top.children]) == ("slowpure", ["slowpure.primes"])
    assert top.children[0].own_s > 0.8 * times.seconds
    assert times.lines[0].line.file.endswith("slowpure/primes.py")
    assert times.lines[0].doing == "computes"
    assert times.saving is not None
    assert isinstance(times.saving.after_s, Known)
    assert times.saving.after_s.value < 0.2 * times.seconds
    assert "import slowpure.primes only when first used" in text
    assert "slowpure.primes" in (tmp_path / "out" / "import-times.html").read_text()
    assert took_s < 2 * times.seconds + 10.0  # 5 s are promised; other tests run at the same time


def test_a_module_that_is_put_off_is_imported_when_it_is_used() -> None:
    look = "print('_csv' in sys.modules)"
    program = f"{lazily(['csv'])}\nimport csv\n{look}\ncsv.reader\n{look}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.split() == ["False", "True"]


def test_a_slow_file_is_told_from_slow_code(cache: Path, tmp_path: Path) -> None:
    folder = package("slow_file_system", tmp_path)
    _, found, took_s = diagnose(tmp_path, folder, ("slowdisk",), cache)
    assert found.times is not None
    most = found.times.lines[0]
    assert most.line.file.endswith("slowdisk/tables.py")
    assert most.line.text == "rows = file.read()"
    assert most.doing.startswith("waits for data from fifo:")
    saving = found.times.saving
    assert saving is not None
    assert saving.change is not None
    assert saving.change.before == ("TABLE = read_table()",)
    assert isinstance(saving.after_s, Known)
    assert saving.after_s.value < 0.5 * found.times.seconds
    assert took_s < 2 * found.times.seconds + 10.0


def test_a_script_is_carried_as_text(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "beside.py").write_text("import threading\nlock = threading.Lock()\n")
    program = tmp_path / "tools" / "program.py"
    program.write_text(
        "from __future__ import annotations\n\nimport json\nimport sys\nimport beside\n\n"
        "assert sys.argv[1:] == ['-x'], sys.argv\n"
        "with open('settings.json') as file:\n    assert json.load(file)['wait']\n"
        "with beside.lock:\n    beside.lock.acquire()\n"
    )
    (tmp_path / "settings.json").write_text('{"wait": true}')
    done = subprocess.run(
        [*TOOL, "--output", "out", "--script", "tools/program.py", "--", "-x"],
        cwd=tmp_path,
        env={**os.environ, "DEADLOCK_MATRIX_CACHE": str(cache)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    found = msgspec.json.decode((tmp_path / "out" / "diagnosis.json").read_bytes(), type=Diagnosis)
    assert found.outcome is Outcome.DEADLOCK, done.stdout + done.stderr
    assert f"{program}:11" in done.stdout
    text = (tmp_path / "out" / "reproducer.py").read_text()
    assert str(program) not in text
    assert "\nwith beside.lock:\n" in text
    effects = {each.remedy.name: each.effect for each in found.trials}
    assert effects == {"reentrant-lock": Effect.CURES}
    program.unlink()
    (tmp_path / "tools" / "beside.py").unlink()
    (tmp_path / "settings.json").unlink()
    assert hangs_for_a_stranger(tmp_path / "out" / "reproducer.py", tmp_path / "empty")


def test_a_library_in_c_that_ctypes_loads_is_built_by_the_script(
    cache: Path, tmp_path: Path
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "__init__.py").write_text(
        "import ctypes\nfrom pathlib import Path\n"
        "library = ctypes.PyDLL(str(Path(__file__).with_name('libwork.so')))\n"
        "library.run(ctypes.CFUNCTYPE(None)(lambda: None))\n"
    )
    source = tmp_path / "native" / "work.c"
    source.write_text(
        "#include <pthread.h>\n"
        "static void *body(void *f) { ((void (*)(void))f)(); return 0; }\n"
        "void run(void (*f)(void))\n"
        "{ pthread_t t; pthread_create(&t, 0, body, (void *)f); pthread_join(t, 0); }\n"
    )
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-pthread", source, "-o", source.with_name("libwork.so")],
        check=True, timeout=100,
    )  # fmt: skip
    text, found, _ = diagnose(tmp_path, tmp_path, ("native",), cache)
    assert found.outcome is Outcome.DEADLOCK, text
    assert "holds the GIL and joins thread" in found.sentence
    assert found.reproducer is not None
    assert found.reproducer.missing == ()
    assert str(tmp_path) not in found.reproducer.text
    shutil.rmtree(tmp_path / "native")
    assert hangs_for_a_stranger(tmp_path / "out" / "reproducer.py", tmp_path / "empty")


def test_what_the_hang_does_not_need_is_left_out_of_the_script(cache: Path, tmp_path: Path) -> None:
    padding = "".join(f"def unused_{n}():\n    return {n}\n" for n in range(8))
    (tmp_path / "wordy.py").write_text(
        f"import json\nimport threading\n{padding}lock = threading.Lock()\nlock.acquire()\n"
        f"{padding}lock.acquire()\n"
    )
    _, found, _ = diagnose(tmp_path, tmp_path, ("wordy", "--budget", "100"), cache)
    assert found.reproducer is not None
    assert found.reproducer.hung
    assert "unused" not in found.reproducer.text
    assert hangs_for_a_stranger(tmp_path / "out" / "reproducer.py", tmp_path / "empty")


def test_a_hang_by_another_interpreter_is_found(cache: Path, tmp_path: Path) -> None:
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    if sys.prefix == sys.base_prefix or not base.exists():
        pytest.skip("these tests do not run in an environment that was made from another Python")
    (tmp_path / "outside.py").write_text(
        "import sys, threading\nlock = threading.Lock()\nlock.acquire()\n"
        "if sys.prefix == sys.base_prefix:\n    lock.acquire()\n"
    )
    _, found, _ = diagnose(tmp_path, tmp_path, ("outside", "--python", str(base)), cache)
    assert found.outcome is Outcome.DEADLOCK
    assert Path(found.result.cell.interpreter.executable).name == base.name
    assert found.tried[0].rate.hangs == 0  # by the first one
    assert found.reproducer is not None
    assert found.reproducer.hung
