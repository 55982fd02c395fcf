"""The command line as a whole: what it says, and the status it ends with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.endings import INTERRUPTED

from deadlock_matrix import __version__
from deadlock_matrix.cli.help import COMMANDS

pytestmark = pytest.mark.timeout(600)
TOOL = (sys.executable, "-m", "deadlock_matrix")
OWN = """
[tool.deadlock-matrix]
target = "mine"

[[tool.deadlock-matrix.entry]]
name = "package"
statement = "import mine"
"""


@pytest.fixture
def tool(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run it in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TOOL, *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


Tool = Callable[..., "subprocess.CompletedProcess[str]"]


def test_version(tool: Tool) -> None:
    done = tool("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"deadlock-matrix, version {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(tool: Tool, option: str) -> None:
    done = tool(option)
    assert (done.returncode, done.stderr) == (0, "")
    for name, summary in COMMANDS.items():
        assert name in done.stdout and summary in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command(tool: Tool, name: str) -> None:
    done = tool(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: deadlock-matrix {name}")


@pytest.mark.parametrize("arguments", [("nonsense",), ("--nonsense",), ("cells", "--nonsense")])
def test_what_is_not_known(tool: Tool, arguments: tuple[str, ...]) -> None:
    done = tool(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nonsense" in done.stderr and "Traceback" not in done.stderr


def test_cells_of_a_study(tool: Tool) -> None:
    done = tool("cells", "--study", "splitlearn", "--preset", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    cells = done.stdout.splitlines()
    assert len(cells) == len(set(cells)) >= 10
    assert all(len(cell.split("/")) == 5 for cell in cells)
    options = ("--study", "splitlearn", "--preset", "smoke", "--layout", "lazy")
    chosen = tool("cells", *options).stdout.splitlines()
    assert chosen and set(chosen) < set(cells)
    assert all(cell.split("/")[2] == "lazy" for cell in chosen)


@pytest.mark.parametrize("arguments", [("cells",), ("run", "-n0")])
def test_without_a_configuration_it_asks_what_to_import(
    tool: Tool, arguments: tuple[str, ...]
) -> None:
    done = tool(*arguments)
    assert done.returncode != 0
    assert 'there is nothing to import: add statement = "import mypackage"' in done.stderr
    assert "Traceback" not in done.stderr


def test_cells_of_one_s_own(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(OWN)
    done = tool("cells", "--coverage", "full", "--profile", "baseline")
    assert (done.returncode, done.stderr) == (0, "")
    cells = done.stdout.splitlines()
    assert cells and all("/baseline/" in cell and "/package/" in cell for cell in cells)
    named = tmp_path / "named.toml"
    named.write_text(OWN.replace("tool.deadlock-matrix.", "").replace("[tool.deadlock-matrix]", ""))
    (tmp_path / "pyproject.toml").unlink()
    again = tool("cells", "--config", str(named), "--coverage", "full", "--profile", "baseline")
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "basline"), "--profile: no profile is called 'basline'"),
        (("--exclude", "colour=red"), "colour"),
        (("--preset", "smok"), "smoke"),
        (("--interpreter", "no-such-python"), "no-such-python"),
        (("--coverage", "half"), "half"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_wrong_selection(tool: Tool, arguments: tuple[str, ...], said: str) -> None:
    done = tool("cells", "--study", "splitlearn", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_configuration(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(OWN.replace("target", "taget"))
    done = tool("cells")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("deadlock-matrix: ") and done.stderr.count("\n") == 1
    assert "pyproject.toml" in done.stderr and "'taget'" in done.stderr
    assert "'target'" in done.stderr


def test_a_reader_that_goes_away() -> None:
    cells = "cells --study splitlearn --coverage full"
    command = f"{shlex.quote(sys.executable)} -m deadlock_matrix {cells} | head -1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
@pytest.mark.parametrize(
    "arguments", ["cells --study splitlearn", "report schema", "--help", "inspect $$ --json"]
)
def test_a_disk_that_is_full(arguments: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m deadlock_matrix {arguments} >/dev/full"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 125
    assert done.stderr == "deadlock-matrix: No space left on device\n"


@pytest.mark.skipif(sys.platform != "linux", reason="there it may need more rights")
def test_a_standard_output_that_is_closed() -> None:
    command = f"{shlex.quote(sys.executable)} -m deadlock_matrix inspect $$ --json >&-"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals end it there at once")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_diagnosis_that_is_cancelled(tmp_path: Path, number: signal.Signals) -> None:
    scratch, ready = tmp_path / "scratch", tmp_path / "ready"
    scratch.mkdir()
    os.mkfifo(ready)
    (tmp_path / "waiting.py").write_text(
        f"import os, time\nopen({str(ready)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    variables = {**os.environ, "TMPDIR": str(scratch), "DEADLOCK_MATRIX_CACHE": str(tmp_path / "c")}
    with subprocess.Popen(
        [*TOOL, "diagnose", "--python", sys.executable, "waiting"],
        cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as tool:  # fmt: skip
        probe = int(ready.read_text())
        assert list(scratch.iterdir())
        tool.send_signal(number)
        _, said = tool.communicate(timeout=300)
    assert tool.returncode in (INTERRUPTED if number is signal.SIGINT else (-number,))
    assert list(scratch.iterdir()) == [] and b"Traceback" not in said
    end = time.monotonic() + 120
    while Path(f"/proc/{probe}").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_diagnosis_that_could_not_be_written(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = tool("diagnose", "--python", sys.executable, "--output", "file/inside", "nothing")
    assert done.returncode == 74
    assert "No module named 'nothing'" in done.stdout  # the answer is not lost
    warned, *_, not_written = done.stderr.splitlines()
    assert "--output" in warned and not_written.startswith("not written: ")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize("option", ["--path", "--layout", "--script"])
def test_a_name_that_is_no_text(tool: Tool, tmp_path: Path, option: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    (folder / "nothing.py").write_text("")
    rest = [str(folder / "nothing.py")] if option == "--script" else [str(folder), "nothing"]
    done = tool("diagnose", "--python", sys.executable, option, *rest)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("deadlock-matrix: ") and done.stderr.count("\n") == 1
    assert "is not UTF-8" in done.stderr


@pytest.mark.parametrize("option", ["--interpreter", "--runs-on"])
@pytest.mark.parametrize("text", ["", " ", "a\nb"])
def test_a_job_without_a_name(tool: Tool, option: str, text: str) -> None:
    done = tool("ci-matrix", option, text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "one line of text, not empty" in done.stderr


def test_too_many_runs(tool: Tool) -> None:
    done = tool("diagnose", "--repeat", "9" * 30, "nothing")
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_the_schema_of_a_report(tool: Tool) -> None:
    done = tool("report", "schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert "$defs" in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("content", "status"), [(None, 2), ("{}", 125), ("nothing", 125), ("", 125), ("[1]", 125)]
)
def test_a_report_that_is_none(
    tool: Tool, tmp_path: Path, content: str | None, status: int
) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    done = tool("report", "show", str(file))
    assert (done.returncode, done.stdout) == (status, "")
    assert "report.json" in done.stderr and "Traceback" not in done.stderr
    if status == 125:
        assert done.stderr.startswith("deadlock-matrix: ") and done.stderr.count("\n") == 1


def test_a_folder_without_a_run(tool: Tool, tmp_path: Path) -> None:
    done = tool("report", "show", str(tmp_path))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("deadlock-matrix: ") and done.stderr.count("\n") == 1


def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("deadlock-matrix")
    if not command.exists():
        pytest.skip("the command is not installed beside this interpreter")
    done = subprocess.run(
        [str(command), "--version"], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"deadlock-matrix, version {__version__}\n")
