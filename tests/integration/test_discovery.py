"""Every Python in a made-up home: real ones, and what only looks like one, each listed rightly."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from integration.endings import INTERRUPTED

from deadlock_matrix.interpreters import candidates
from deadlock_matrix.interpreters.conda import run_listing
from deadlock_matrix.interpreters.discovery import Discovered, discover
from deadlock_matrix.interpreters.physical import key_of
from deadlock_matrix.interpreters.places import Surroundings
from deadlock_matrix.interpreters.question import Answer
from deadlock_matrix.model.discovery import Discovery
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="wrappers are shell scripts"),
    pytest.mark.timeout(600),
]
DEADLINE_S = 60.0
BASE = os.path.realpath(sys.executable)

PYPY = Answer(
    version="3.10.14",
    implementation="pypy",
    described="3.10.14 (39dc8d3c85a7, Aug 27 2024, 20:31:35) [PyPy 7.3.17 with GCC 10.2.1]",
    bits=64,
    free_threaded=False,
    debug=False,
    shared=False,
    executable="/opt/pypy3.10-v7.3.17-linux64/bin/pypy3.10",
    prefix="/opt/pypy3.10-v7.3.17-linux64",
    base_prefix="/opt/pypy3.10-v7.3.17-linux64",
    environment=False,
    site_packages=("/opt/pypy3.10-v7.3.17-linux64/lib/pypy3.10/site-packages",),
    user_site="/home/me/.local/lib/pypy3.10/site-packages",
)
"""What a PyPy says; recorded, as it is on few machines."""


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def link(path: Path, target: str | Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return str(path)


def pretend(path: Path) -> str:
    """What says that it is a PyPy, at that place."""
    said = msgspec.structs.replace(PYPY, executable=str(path))
    return script(path, f"echo '{msgspec.json.encode(said).decode()}'")


def make_environment(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300
    )
    return folder / "bin" / "python"


def around(folder: Path, *on_path: Path, **variables: str) -> Surroundings:
    (folder / "here").mkdir(exist_ok=True)
    path = os.pathsep.join(map(str, on_path))
    return Surroundings(
        variables={"PATH": path, **variables}, home=str(folder), folder=str(folder / "here")
    )


def found_in(surroundings: Surroundings, tmp_path: Path, deadline_s: float = DEADLINE_S) -> Found:
    return Found(discover(surroundings, tmp_path / "cache", deadline_s))


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Found:
    """What was found, less the interpreter that runs this, which is always found."""

    def __init__(self, found: Discovered) -> None:
        self.notes = found.notes
        keys = {key_of(sys.executable), key_of(BASE)}
        self.own = [each for each in found.interpreters if key_of(each.executable) in keys]
        self.facts = [each for each in found.interpreters if each not in self.own]

    @property
    def paths(self) -> list[str]:
        return [each.executable for each in self.facts]

    def reason(self, path: str | Path) -> str:
        fact = self._one(path).fingerprint
        assert isinstance(fact, Unknown), fact
        return fact.reason

    def fingerprint(self, path: str | Path) -> Fingerprint:
        fact = self._one(path).fingerprint
        assert isinstance(fact, Known), fact
        return fact.value

    def _one(self, path: str | Path) -> InterpreterFacts:
        (one,) = (each for each in self.facts if each.executable == str(path))
        return one


@pytest.fixture
def started() -> Iterator[Callable[[], int]]:
    """Counts the processes that are started; only while the test lasts."""
    counts = [0]
    on = [True]

    def count(event: str, arguments: object) -> None:
        if on[0] and event == "subprocess.Popen":
            counts[0] += 1

    sys.addaudithook(count)
    yield lambda: counts[0]
    on[0] = False


def test_a_farm_of_links_is_one_interpreter(tmp_path: Path) -> None:
    farm, real = tmp_path / "farm", pretend(tmp_path / "usr" / "bin" / "python3.99")
    for name in ("python", "python3", "python3.8", "pypy"):
        link(farm / name, real)
    for name in ("python2", "python3.11"):
        link(farm / name, BASE)
    link(tmp_path / "same farm", farm)
    link(tmp_path / "bin", tmp_path / "usr" / "bin")
    folders = [farm, tmp_path / "same farm"]
    found = found_in(around(tmp_path, *folders), tmp_path)
    assert found.paths == [str(farm / "pypy")]
    found = found_in(around(tmp_path, *folders, tmp_path / "bin", Path(real).parent), tmp_path)
    assert found.paths == [real]
    assert len({os.path.realpath(each.executable) for each in found.own}) == 1


def test_a_library_that_has_to_ask_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(entry: candidates._Entry) -> bool:
        if entry._may_be_read:
            return False
        raise ZeroDivisionError

    paths = [
        script(tmp_path / "bin" / "python3", "exit 1"),
        pretend(tmp_path / "bin" / "python3.99"),
    ]
    surroundings = around(tmp_path, tmp_path / "bin")
    first = found_in(surroundings, tmp_path)
    monkeypatch.setattr(candidates._Entry, "exists", stumble)
    again = found_in(surroundings, tmp_path)
    assert sorted(again.paths) == paths
    assert (again.facts, again.own, again.notes) == (first.facts, first.own, ())


def test_environments_with_spaces_and_other_letters(tmp_path: Path) -> None:
    kept = tmp_path / ".virtualenvs"
    paths = [make_environment(kept / "a spaced one"), make_environment(kept / "ünï 深い")]
    found = found_in(around(tmp_path, paths[0].parent), tmp_path)
    assert found.paths == list(map(str, paths))
    for path in paths:
        one = found.fingerprint(path)
        assert one.version == platform.python_version().rstrip("+")
        assert one.distribution.startswith("venv of ")
        assert one.name == path.parent.parent.name


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/b\xffd")
    try:
        script(Path(folder, "python3"), "exit 1")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    found = found_in(around(tmp_path, Path(folder)), tmp_path)
    assert found.reason(f"{tmp_path}/b\\udcffd/python3") == "its path is no UTF-8"
    msgspec.json.encode(found.facts)


def test_an_environment_whose_base_is_gone(tmp_path: Path) -> None:
    path = make_environment(tmp_path / "here" / ".venv")
    path.unlink()
    path.symlink_to(tmp_path / "gone" / "python3.11")
    found = found_in(around(tmp_path), tmp_path)
    assert found.paths == [str(path)]
    assert "is a link to" in found.reason(path) and "does not exist" in found.reason(path)


def test_a_conda_prefix_with_python_and_one_without(tmp_path: Path) -> None:
    for name in ("with", "only-r"):
        (tmp_path / "envs" / name / "conda-meta").mkdir(parents=True)
    path = pretend(tmp_path / "envs" / "with" / "bin" / "python3.10")
    link(Path(path).parent / "python", "python3.10")
    (tmp_path / ".conda").mkdir()
    lines = "".join(f"{tmp_path}/envs/{name}\n" for name in ("only-r", "with"))
    (tmp_path / ".conda" / "environments.txt").write_text(lines)
    found = found_in(around(tmp_path), tmp_path)
    empty = tmp_path / "envs" / "only-r" / "bin" / "python"
    assert found.reason(empty) == "a conda environment without Python"
    assert found.paths == [str(Path(path).parent / "python"), str(empty)]
    assert [each.name for each in found.facts] == ["with", "only-r"]


def test_the_listing_of_a_tool_is_used(tmp_path: Path) -> None:
    path = make_environment(tmp_path / "far away")
    (tmp_path / "far away" / "conda-meta").mkdir()
    said = json.dumps({"envs": [str(tmp_path / "far away"), str(tmp_path / "gone")]})
    conda = script(tmp_path / "root" / "bin" / "conda", f"test $1 = env && echo '{said}'")
    found = found_in(around(tmp_path, CONDA_EXE=conda), tmp_path)
    assert found.paths == [str(path)]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 3", "failed with status 3"),
        ("echo no JSON", "did not print the list"),
        ("while :; do echo yes yes yes yes yes yes yes yes; done", "printed more than"),
    ],
)
def test_a_tool_that_fails_is_a_note(tmp_path: Path, text: str, words: str) -> None:
    path = make_environment(tmp_path / "here" / ".venv")
    conda = script(tmp_path / "root" / "bin" / "conda", text)
    found = found_in(around(tmp_path, CONDA_EXE=conda), tmp_path)
    (note,) = found.notes
    assert "'conda env list --json'" in note and words in note
    assert found.paths == [str(path)]


def test_a_tool_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    hanging = f'trap "" TERM INT HUP; sleep 600 & echo $! > "{tmp_path}/child"; wait; sleep 600'
    tool = script(tmp_path / "micromamba", hanging)
    begin = time.monotonic()
    found = run_listing((tool, "env", "list"), around(tmp_path), 1.0)
    assert time.monotonic() - begin < 20
    assert found == Unknown(reason="'micromamba env list' did not end within 1 s, and was ended")
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_an_executable_that_is_no_python(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    silent = script(folder / "python3", "exit 0")
    loud = script(folder / "python3.9", "echo no such library >&2; exit 127")
    damaged = folder / "python2.7"
    damaged.write_bytes(b"\x7fELF no")
    damaged.chmod(0o755)
    plain = folder / "python"
    plain.write_text("")
    plain.chmod(0o644)
    found = found_in(around(tmp_path, folder), tmp_path)
    assert "it said nothing" in found.reason(silent)
    assert "status 127: no such library" in found.reason(loud)
    assert "cannot be started" in found.reason(damaged)
    assert "is not executable" in found.reason(plain)


def test_those_that_hang_cost_their_deadline_once_and_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    hanging = [script(folder / f"python3.{minor}", "exec sleep 600") for minor in (7, 8, 9)]
    begin = time.monotonic()
    found = found_in(around(tmp_path, folder), tmp_path, 3.0)
    assert time.monotonic() - begin < 3 * 3.0
    for path in hanging:
        assert found.reason(path) == "does not answer within 3 s"
    begin = time.monotonic()
    again = found_in(around(tmp_path, folder), tmp_path, 3.0)
    assert time.monotonic() - begin < 2.5
    assert again.facts == found.facts


def test_a_python_2(tmp_path: Path) -> None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    real = sorted(root.glob("versions/2.7*/bin/python2.7"))
    if not real:
        pytest.skip("no Python 2.7 is here")
    found = found_in(around(tmp_path, real[0].parent), tmp_path)
    one = found.fingerprint(real[0])
    assert one.version.startswith("2.7.")
    assert one.implementation == "cpython"


def test_a_pypy(tmp_path: Path) -> None:
    path = pretend(tmp_path / ".pyenv/versions/pypy3.10-7.3.17/bin/pypy3.10")
    link(Path(path).parent / "pypy3", "pypy3.10")
    found = found_in(around(tmp_path), tmp_path)
    assert found.paths == [path]
    one = found.fingerprint(path)
    assert (one.implementation, one.version) == ("pypy", "3.10.14")


def test_pyenv_lists_what_it_has_built_and_no_shim(tmp_path: Path) -> None:
    root = tmp_path / ".pyenv"
    called = tmp_path / "called"
    for name in ("python", "python3.99"):
        script(root / "shims" / name, f'echo {name} >> "{called}"; exit 127')
    broken = link(root / "versions" / "3.99.1" / "bin" / "python", "python3.99")
    found = found_in(around(tmp_path, root / "shims"), tmp_path)
    assert found.paths == [broken]
    assert not called.exists()


def test_a_wrapper_stands_for_what_it_starts(tmp_path: Path) -> None:
    real = make_environment(tmp_path / "real one")
    program = script(tmp_path / "shims" / "manager", f'exec "{real}" "$@"')
    for name in ("python", "python3"):
        link(tmp_path / "shims" / name, program)
    script(tmp_path / "more" / "python3", f'exec "{real}" "$@"')
    found = found_in(around(tmp_path, tmp_path / "shims", tmp_path / "more"), tmp_path)
    assert found.paths == [str(real)]
    assert found.fingerprint(real).name == "real one"


def test_a_loop_of_folders(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    path = make_environment(tree / "a" / "env")
    link(tree / "a" / "loop", tree)
    link(tree / "a" / "env" / "bin" / "here", ".")
    looped = tree / "a" / "loop" / "a" / "loop" / "a" / "env" / "bin" / "here"
    surroundings = msgspec.structs.replace(around(tmp_path, looped), trees=(str(tree),))
    assert len(found_in(surroundings, tmp_path).paths) == 1
    alone = msgspec.structs.replace(around(tmp_path), trees=(str(tree),))
    assert found_in(alone, tmp_path).paths == [str(path)]


def test_nothing_is_started_twice_and_a_changed_file_is_noticed(
    tmp_path: Path, started: Callable[[], int]
) -> None:
    paths = [make_environment(tmp_path / ".virtualenvs" / name) for name in "abcdef"]
    first = found_in(around(tmp_path), tmp_path)
    assert first.paths == list(map(str, paths))
    count = started()
    assert count >= len(paths)
    again = found_in(around(tmp_path), tmp_path)
    assert started() == count
    assert (again.facts, again.own) == (first.facts, first.own)
    paths[2].unlink()
    script(paths[2], "echo another >&2; exit 1")
    changed = found_in(around(tmp_path), tmp_path)
    assert started() == count + 1
    assert "another" in changed.reason(paths[2])
    assert changed.paths[-1] == str(paths[2])  # it does not work: it comes last
    assert changed.paths[:-1] == [str(path) for path in paths if path != paths[2]]


def test_without_a_place_to_remember_in_it_works_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    path = make_environment(tmp_path / "here" / "venv")
    found = found_in(around(tmp_path), tmp_path)
    assert found.fingerprint(path).version
    assert "nothing is remembered" in found.notes[0]


@pytest.fixture
def tool(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a folder with a broken environment, away from the user's cache."""
    (tmp_path / "here").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deadlock_matrix", "interpreters", *arguments],
            cwd=tmp_path / "here",
            env={
                "PATH": "",
                "HOME": str(tmp_path),
                "DEADLOCK_MATRIX_CACHE": str(tmp_path / "cache"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


Tool = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_command(tool: Tool, tmp_path: Path) -> None:
    link(tmp_path / "here" / ".venv" / "bin" / "python", "/gone/python")
    (tmp_path / "here" / ".venv" / "pyvenv.cfg").touch()
    inside = make_environment(tmp_path / "there" / "deep" / "inside")
    done = tool("--under", str(tmp_path / "there"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(done.stdout.split())
    assert " inside /" in text and "/gone/python, which does not exist" in text
    assert "\x1b" not in done.stdout
    assert re.fullmatch(r"\d+ interpreters? works?, \d+ do(es)? not", lines[-1])

    done = tool("--json", "--under", str(tmp_path / "there"))
    assert (done.returncode, done.stderr) == (0, "")
    document = msgspec.json.decode(done.stdout, type=Discovery)
    assert document.tool.name == "deadlock-matrix"
    names = [each.name for each in document.interpreters]
    assert "inside" in names and len(set(names)) == len(names)
    assert "here-venv" in names[-4:]  # this machine may have broken ones too
    assert str(inside) in [each.executable for each in document.interpreters]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    child = tmp_path / "child"
    hanging = f'echo $$ > "{child}.new"; mv "{child}.new" "{child}"; exec sleep 600'
    script(tmp_path / "bin" / "python3.99", hanging)
    command = [sys.executable, "-m", "deadlock_matrix", "interpreters", "--deadline", "100"]
    path = os.pathsep.join([str(tmp_path / "bin"), os.defpath])
    environment = {"PATH": path, "HOME": str(tmp_path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not child.exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) in INTERRUPTED
    finally:
        process.kill()
        process.wait()
    assert not is_alive(int(child.read_text()))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--deadline", "0"), "0.0 is not in the range"),
        (("--deadline", "soon"), "'soon' is not a valid"),
        (("--under", "/nowhere/at/all"), "does not exist"),
        (("extra",), "unexpected extra argument"),
    ],
)
def test_what_is_wrong_on_the_command_line(
    tool: Tool, arguments: tuple[str, ...], word: str
) -> None:
    done = tool(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in " ".join(done.stderr.split())
