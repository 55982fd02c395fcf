"""What the documents say to type: every command is understood, and what can be run here is run.

What comes out is compared by its shape alone: by the word that the first line begins with.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from deadlock_matrix.app import run_options
from deadlock_matrix.cli.parsing import group
from deadlock_matrix.model.cell import AXES

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "reports" / "example"
BOUND_S = 150

NOT_RUN = {
    "run": "takes minutes; test_pytest_plugin.py runs the matrix",
    "diagnose": "takes a minute; test_diagnose.py runs it",
    "worker": "joins a scheduler of Dask and stays; test_grid.py runs it",
}
"""Commands that are not run here, and why; that they are understood is tested all the same."""

HANGING_PACKAGE = """
import threading

thread = threading.Thread(target=__import__, args=["mypackage.part"])
thread.start()
thread.join()
"""


class Command(NamedTuple):
    """A command line of a document, with the ``cd`` before it and the first line after it."""

    document: str
    folder: str
    line: str
    output: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)[1:]


def commands() -> Iterator[Command]:
    for path in DOCUMENTS:
        for block in re.findall(r"^```console\n(.*?)^```", path.read_text(), re.M | re.S):
            yield from in_block(path.relative_to(ROOT).as_posix(), block)


def in_block(document: str, block: str) -> Iterator[Command]:
    folder = ""
    for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.M)[1:]:
        line, _, output = part.partition("\n")
        if line.startswith("cd "):
            folder = line.removeprefix("cd ").strip()
        elif line.startswith("deadlock-matrix "):
            yield Command(document, folder, line, output.strip().partition("\n")[0])


ALL = list(dict.fromkeys(commands()))
RUNNABLE = [each for each in ALL if each.words[0] not in NOT_RUN and "..." not in each.words]


def name_of(command: Command) -> str:
    return f"{command.document}: {' '.join(command.words)}"


def leaf(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that some words name, and the rest of them."""
    command: click.Command = group
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        command, rest = found, rest[1:]
    return command, rest


def test_there_are_commands_to_test() -> None:
    assert {command.words[0] for command in RUNNABLE} >= {"inspect", "watch", "cells", "report"}
    assert set(NOT_RUN) <= {command.words[0] for command in ALL}


def test_an_option_that_there_is_not_would_be_found() -> None:
    command, rest = leaf(["report", "compare", "a", "b", "--gaet"])
    with pytest.raises(click.NoSuchOption):
        command.make_parser(click.Context(command)).parse_args(rest)


@pytest.mark.parametrize("command", ALL, ids=name_of)
def test_a_command_is_understood(command: Command) -> None:
    found, rest = leaf(command.words)
    context = click.Context(found, **found.context_settings)
    found.make_parser(context).parse_args(rest)


@pytest.mark.parametrize("command", [each for each in ALL if each.words[0] == "run"], ids=name_of)
def test_an_option_that_run_hands_on_is_one_of_the_plugin(command: Command) -> None:
    plugin = ROOT / "src" / "deadlock_matrix" / "pytest_plugin"
    source = "".join(each.read_text() for each in plugin.glob("*.py"))
    known = {
        "--config",
        "--study",
        *re.findall(r'"(--[\w-]+)"', source),
        *(name.split(" ")[0] for name, _ in run_options.described()),
        *(f"--{axis}" for axis in AXES),
    }
    used = {word.partition("=")[0] for word in command.words if word.startswith("--")}
    assert used <= known


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A project whose package deadlocks when it is imported, as the documents speak of one."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.deadlock-matrix]\nstatement = "import mypackage"\n'
    )
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").write_text(HANGING_PACKAGE)
    (package / "part.py").write_text("")
    return tmp_path


LIVING_SERVICE = """
import threading, time
first, second, met = threading.RLock(), threading.RLock(), threading.Barrier(2)
def cross(one, other):
    with one:
        met.wait()
        with other:
            pass
for pair in ((first, second), (second, first)):
    threading.Thread(target=cross, args=pair).start()
while True:
    time.sleep(0.1)
"""


def environment(sandbox: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    here = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": os.pathsep.join([here, kept.get("PATH", "")]),
        "DEADLOCK_MATRIX_CACHE": str(sandbox / "cache"),
    }


def run(words: list[str], folder: Path, sandbox: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deadlock_matrix", *words],
        cwd=folder,
        env=environment(sandbox),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


def lay_out_reports(words: list[str], sandbox: Path) -> None:
    """Put the example report wherever a ``report`` command reads one."""
    _, rest = leaf(words)
    options = {"-o", "--output", "--html", "--markdown", "--junit", "--json", "--config"}
    for before, word in zip(["", *rest], rest, strict=False):
        if not word.startswith("-") and before not in options:
            shutil.copytree(EXAMPLE, sandbox / word, dirs_exist_ok=True)


def shape(line: str) -> str:
    return re.match(r"[\w-]*\W?", line).group()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "command", [each for each in RUNNABLE if each.words[0] != "inspect"], ids=name_of
)
def test_a_command_does_what_is_said(command: Command, sandbox: Path) -> None:
    words = command.words
    if words[0] == "report":
        lay_out_reports(words, sandbox)
    done = run(words, ROOT / command.folder if command.folder else sandbox, sandbox)
    expected = {"watch": {35}, "scan": {0, 35, 36}}  # other tests' processes may hang meanwhile
    assert done.returncode in expected.get(words[0], {0}), done.stdout + done.stderr
    printed = (done.stderr if words[0] == "watch" else done.stdout).strip()
    if words[0] == "watch":
        assert "\ndeadlock: " in f"\n{printed}"
    if command.output:
        assert shape(printed) == shape(command.output)


LIVING_LOOP = """
import asyncio

async def cross(first, second):
    async with first:
        await asyncio.sleep(0.01)
        async with second:
            pass

async def main():
    a, b = asyncio.Lock(), asyncio.Lock()
    stuck = [asyncio.create_task(cross(a, b)), asyncio.create_task(cross(b, a))]
    while True:
        await asyncio.sleep(0.05)

asyncio.run(main())
"""

HANGING = {
    "partial deadlock: ": LIVING_SERVICE,
    "likely partial deadlock: ": LIVING_LOOP,
    "deadlock: ": "import mypackage",
}
"""By the first words of the answer, what it is said of."""


@pytest.mark.parametrize(
    "command", [each for each in RUNNABLE if each.words[0] == "inspect"], ids=name_of
)
def test_a_process_that_hangs_is_inspected(
    command: Command, sandbox: Path, launch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first = next((each for each in HANGING if command.output.startswith(each)), "deadlock: ")
    status = 36 if "likely" in first else 35
    process = launch(sys.executable, "-c", HANGING[first], cwd=sandbox)
    words = [str(process.pid) if word.isdecimal() else word for word in command.words]
    done = run(words, sandbox, sandbox)
    for _ in range(20):  # it may not have come to its deadlock yet
        if done.returncode == status:
            break
        done = run(words, sandbox, sandbox)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout.startswith(first)


def test_the_examples_for_pytest_are_tests_that_pass(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "pytest.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        (tmp_path / f"test_example_{number}.py").write_text(block)
    (tmp_path / "mypackage.py").write_text("")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
