"""``deadlock-matrix diagnose`` on what does not hang: a plain answer, and the right status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.endings import INTERRUPTED

from deadlock_matrix.run.capacity import cores
from deadlock_matrix.run.load import Load

pytestmark = pytest.mark.timeout(600)
TOOL = (sys.executable, "-m", "deadlock_matrix", "diagnose", "--python", sys.executable)
Done = subprocess.CompletedProcess[str]
Diagnose = Callable[..., Done]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def diagnose(tmp_path: Path, cache: Path) -> Diagnose:
    """Run it in a folder of its own; what it says is put on one line."""

    def run(*arguments: str, tool: tuple[str, ...] = TOOL) -> Done:
        done = subprocess.run(
            [*tool, *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", "DEADLOCK_MATRIX_CACHE": str(cache)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        done.stdout = " ".join(done.stdout.split())
        return done

    return run


MODULES = {
    "arguments": "import argparse\np = argparse.ArgumentParser()\n"
    "p.add_argument('f')\np.parse_args()",
    "input": "name = input('your name? ')",
    "exits": "import sys\nsys.exit()",
    "exits_with_3": "import sys\nsys.exit(3)",
    "syntax": "def f(:",
    "dies": "import os\nos._exit(7)",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "needs": "import surely_not_installed",
}


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("arguments", 1, "so it needs arguments"),
        ("input", 1, "It asks for input"),
        ("exits", 0, "It does not hang: it ended the interpreter by itself, with sys.exit()."),
        ("exits_with_3", 1, "with sys.exit(3)"),
        ("syntax", 1, "it fails with SyntaxError"),
        ("dies", 1, "it ended with status 7"),
        ("crashes", 1, "it crashes, ended by SIGSEGV"),
        ("needs", 1, "does not find surely_not_installed, which it needs"),
        ("is_not_there", 1, "does not find is_not_there; --python names"),
    ],
)
def test_plain_answers(
    diagnose: Diagnose, tmp_path: Path, name: str, status: int, words: str
) -> None:
    if name in MODULES:
        (tmp_path / f"{name}.py").write_text(MODULES[name])
    done = diagnose(name, "--repeat", "2", "--context", "main")
    assert words in done.stdout, done.stdout + done.stderr
    assert "hang" not in done.stdout.partition("It does not hang")[0].replace("does not hang", "")
    assert done.returncode == status
    assert not (tmp_path / "reports").exists()


def test_garbage_on_its_streams_does_no_harm(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "garbage.py").write_text(
        "import os\nos.write(1, bytes(range(256)) * 9999)\nos.write(2, b'\\x1b[31m\\xff' * 999)\n"
    )
    done = diagnose("garbage", "--repeat", "2", "--context", "main", "--output", "out",
                    "--json", "all.json")  # fmt: skip
    assert done.returncode == 0
    assert "does not hang" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    document = (tmp_path / "all.json").read_bytes()
    assert (tmp_path / "out" / "diagnosis.json").read_bytes() == document
    found = json.loads(document)
    assert (found["schema_version"], found["outcome"]) == (1, "does not hang")
    assert found["tool"]["name"] == "deadlock-matrix"


def test_a_package_that_imports_itself_by_a_relative_path(
    diagnose: Diagnose, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from . import part\n")
    (package / "part.py").write_text("")
    (package / "program.py").write_text("from .part import *\n")
    assert diagnose("package", "--repeat", "2", "--context", "main").returncode == 0
    done = diagnose("--script", "package/program.py")
    assert done.returncode == 1
    assert "as in 'diagnose package.module'" in done.stdout


def test_a_package_in_src_is_pointed_to(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "src" / "inside").mkdir(parents=True)
    (tmp_path / "src" / "inside" / "__init__.py").write_text("")
    assert "--path" in (said := diagnose("inside").stdout)
    assert "src" in said
    assert diagnose("inside", "--path", "src", "--repeat", "1", "--context", "main").returncode == 0


def test_a_script_gets_its_arguments_and_its_folder(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "beside.py").write_text("")
    (tmp_path / "tools" / "program.py").write_text(
        "import sys, pathlib, beside\n"
        "assert __name__ == '__main__' and pathlib.Path(__file__).name == 'program.py'\n"
        "assert sys.argv[1:] == ['-x', 'y'], sys.argv\n"
        "assert pathlib.Path('tools').is_dir()\n"
    )
    done = diagnose("--script", "tools/program.py", "--repeat", "1", "--context", "main",
                    "--", "-x", "y")  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_script_that_takes_long_but_moves_is_slow(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(
        "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end:\n"
        + "    x = sum(range(30000))\n" * 500
    )
    done = diagnose("--script", "long.py", "--deadline", "6")
    assert done.returncode == 124, done.stdout
    assert "long.py: slow No hang was seen" in done.stdout
    assert "--deadline SECONDS" in done.stdout


def test_what_does_not_hang_says_what_was_tried_and_what_it_costs(
    diagnose: Diagnose, tmp_path: Path
) -> None:
    package = tmp_path / "heavy"
    package.mkdir()
    (package / "__init__.py").write_text("from heavy import loads\n")
    (package / "loads.py").write_text("import big\n")
    big = tmp_path / "big"
    big.mkdir()
    names = [f"part{number}" for number in range(20)]
    (big / "__init__.py").write_text("from big import " + ", ".join(names))
    for name in names:
        (big / f"{name}.py").write_text("")
    done = diagnose("heavy", "--repeat", "4")
    assert done.returncode == 0
    assert "none of 4 runs hung: if it hangs at all, then in fewer than 53% of runs" in done.stdout
    assert "two-threads 1" in done.stdout
    assert "big: 21 modules, imported by heavy.loads (loads.py:1)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give one of these: a MODULE"),
        (("a", "b"), "give one of these: a MODULE"),
        (("a", "--statement", "import b"), "give one of these: a MODULE"),
        (("not a module",), "is not the name of a module"),
        (("program.py",), "--script program.py"),
        (("json", "--context", "mian"), "did you mean 'main'"),
        (("json", "--layout", "lazy=/is/not/there"), "is not a folder"),
        (("json", "--python", "/is/not/there"), "does not exist"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    diagnose: Diagnose, arguments: tuple[str, ...], words: str
) -> None:
    done = diagnose(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_python_the_one_on_path_is_meant(diagnose: Diagnose, tmp_path: Path) -> None:
    """Not the one the tool runs on: the package is in the user's own environment."""
    wanted = tmp_path / "bin" / "python"
    wanted.parent.mkdir()
    wanted.symlink_to(Path(sys.executable).resolve())
    environment = {**os.environ, "PATH": f"{wanted.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "deadlock_matrix", "diagnose", "is_not_there"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert f"{wanted} does not find" in " ".join(done.stdout.split())


def test_perturbing_is_part_of_the_cell(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import sys, threading\n"
        "if sys.getswitchinterval() < 0.001:\n"
        "    lock = threading.Lock()\n"
        "    lock.acquire()\n"
        "    lock.acquire()\n"
    )
    assert diagnose("told", "--context", "main", "--repeat", "2").returncode == 0
    done = diagnose("told", "--context", "main", "--repeat", "2", "--perturb", "--output", "out")
    assert done.returncode == 35
    assert "sys.setswitchinterval" in (tmp_path / "out" / "reproducer.py").read_text()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be bound")
@pytest.mark.skipif(cores() < 2, reason="there is one core")
def test_one_core_is_a_perturbation(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "bound.py").write_text(
        "import os, threading\n"
        "if len(os.sched_getaffinity(0)) == 1:\n"
        "    lock = threading.Lock()\n"
        "    lock.acquire()\n"
        "    lock.acquire()\n"
    )
    assert diagnose("bound", "--context", "main", "--repeat", "2").returncode == 0
    done = diagnose("bound", "--context", "main", "--repeat", "3", "--perturb", "--output", "out")
    assert done.returncode == 35
    assert "os.sched_setaffinity" in (tmp_path / "out" / "reproducer.py").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in procfs")
def test_load_lasts_as_long_as_it_is_wanted() -> None:
    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    with Load(True) as load:
        pids = [process.pid for process in load._processes]
        assert len(pids) == cores()
        assert all(state(pid) != "Z" for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with Load(False) as load:
        assert load._processes == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in procfs")
def test_load_ends_with_whoever_wanted_it(
    state: Callable[[int], str], until: Callable[..., None]
) -> None:
    script = (
        "import time\nfrom deadlock_matrix.run.load import Load\n"
        "with Load(True) as load:\n"
        "    print(*[process.pid for process in load._processes], flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    pids = [int(word) for word in holder.stdout.readline().split()]
    assert pids
    holder.kill()
    holder.communicate()
    # Who waits for orphans may take its time: one that has ended may stay listed.
    until(lambda: all(state(pid) in "ZX" for pid in pids))


def test_what_fails_from_another_context_is_told(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "only_main.py").write_text(
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
    )
    done = diagnose("only_main", "--repeat", "2")
    assert done.returncode == 0
    told = " ".join(done.stdout.split())
    assert told.startswith("only_main: does not hang It does not hang. But called from thread (")
    assert "it fails without hanging: the entry raised ValueError" in told


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in procfs")
def test_an_interrupt_leaves_nothing_behind(cache: Path, tmp_path: Path) -> None:
    """In the middle of two runs at once."""
    mark = tmp_path / "alive"
    (tmp_path / "stuck.py").write_text(
        f"import os, time\nopen({str(mark)!r}, 'a').write('%d\\n' % os.getpid())\n"
        "while True:\n    time.sleep(0.01)\n"
    )
    process = subprocess.Popen(
        [*TOOL, "stuck", "--deadline", "2"],
        cwd=tmp_path,
        env={**os.environ, "DEADLOCK_MATRIX_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while not mark.exists() or len(mark.read_text().split()) < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) in INTERRUPTED
    finally:
        process.kill()
        process.wait()
    probes = [int(number) for number in mark.read_text().split()]
    assert [number for number in probes if Path(f"/proc/{number}").exists()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="where it waits is read in procfs")
def test_an_interrupt_tells_what_is_known(cache: Path, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    (tmp_path / "asleep.py").write_text(
        f"import time\nopen({str(mark)!r}, 'w').close()\nwhile True:\n    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [*TOOL, "asleep", "--deadline", "500", "--output", "out"],
        cwd=tmp_path,
        env={**os.environ, "DEADLOCK_MATRIX_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        end = time.monotonic() + 60
        while not mark.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(2.0)  # it moves no more
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "it was interrupted; this is what was known by then" in told
    assert "whether it would have ended is not known" in " ".join(told.split())
    assert "asleep.py:4  time.sleep(600)" in told
    assert (tmp_path / "out" / "bug-report.md").exists()


def test_the_answer_is_printed_where_it_cannot_be_written(
    diagnose: Diagnose, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "quick.py").write_text("")
    done = diagnose("quick", "--repeat", "1", "--context", "main", "--output", "file/out")
    assert "It does not hang." in done.stdout
    assert "not written: " in done.stderr
    assert done.returncode == 74
