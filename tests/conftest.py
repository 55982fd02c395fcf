"""What tests of several kinds share: cells, interpreters, and processes found by a token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pythons import VERSIONS, WITH_GIL, interpreter

if TYPE_CHECKING:
    from deadlock_matrix.model.cell import Cell
    from deadlock_matrix.model.observation import CellResult, Observation
    from deadlock_matrix.run.workspace import Workspace

TOKEN = "WANTED_TOKEN"


def pytest_configure() -> None:
    """Let tests, and what they start, find every signal as a login shell leaves it.

    ``nohup`` and a shell's ``&`` make a run ignore some signals, and what is ignored stays so in
    every program it starts. A handler does not: it is for this process alone, which goes on
    surviving what it was meant to survive. And no example of Hypothesis is late: on a busy machine
    each of them can take any time.
    """
    with suppress(ImportError):  # which not every environment has
        from hypothesis import settings

        settings.register_profile("any-machine", deadline=None)
        settings.load_profile("any-machine")
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python's own
        if signal.getsignal(number) is signal.SIG_IGN:
            by_default = signal.default_int_handler if number == signal.SIGINT else _survive
            signal.signal(number, by_default)


def _survive(number: int, frame: object) -> None:
    pass


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each CPython that the probe has to run on, as far as it is there."""
    return interpreter(request.param)


@pytest.fixture(params=[WITH_GIL[0], WITH_GIL[-1]])
def python_at_the_ends(request: pytest.FixtureRequest) -> str:
    """The oldest and the newest of them."""
    return interpreter(request.param)


# --- cells --------------------------------------------------------------------------------------


def build_cell(
    statement: str,
    *,
    python: str = sys.executable,
    overlay: Path | None = None,
    deadline_s: float = 30.0,
    watch: tuple[str, ...] = (),
    calling: str = "main",
    stdin: str = "null",
    prelude: str = "",
    variables: dict[str, str] | None = None,
) -> Cell:
    """A cell that executes ``statement``; ``overlay`` holds modules for it to import."""
    from deadlock_matrix.model import cell

    overlays = (str(overlay),) if overlay is not None else ()
    return cell.Cell(
        target="test",
        interpreter=cell.Interpreter(name="python", executable=python),
        profile=cell.Profile(name="test", set=variables or {}),
        layout=cell.Layout(name="test", overlays=overlays),
        entry=cell.Entry(name="test", statement=statement),
        context=cell.Context(
            name="test",
            calling=cell.Calling(calling),
            stdin=cell.Stdin(stdin),
            prelude=prelude,
        ),
        deadline_s=deadline_s,
        watch_modules=watch,
    )


@pytest.fixture(scope="session")
def make_cell() -> Callable[..., Cell]:
    """See `build_cell`."""
    return build_cell


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Where the cells of one test module are run."""
    from deadlock_matrix.run.workspace import Workspace

    folder = tmp_path_factory.mktemp("workspace")
    with Workspace(folder / "cache", folder / "scratch") as opened:
        yield opened


@pytest.fixture
def run(workspace: Workspace) -> Callable[..., CellResult]:
    """Build a cell and run it; afterwards nothing of it may be there, files neither."""
    from deadlock_matrix.run.cell import run_cell

    def build_and_run(statement: str, **rest: Any) -> CellResult:
        token = uuid.uuid4().hex
        variables = {**(rest.pop("variables", None) or {}), TOKEN: token}
        result = run_cell(build_cell(statement, variables=variables, **rest), workspace)
        assert carriers(token) == {}
        # At most empty folders are there, for the next ones.
        names = {path.name.partition("-")[0] for path in workspace.scratch.rglob("*")}
        assert names <= {"probe", "cwd"}
        return result

    return build_and_run


@pytest.fixture(scope="session")
def observed() -> Callable[[CellResult], Observation]:
    """The observation of a cell that could be run."""
    from deadlock_matrix.model.fact import Known

    def read(result: CellResult) -> Observation:
        assert isinstance(result.observation, Known), result.why
        return result.observation.value

    return read


@pytest.fixture(scope="session")
def scenario_folder() -> Callable[[str], Path]:
    """The folder of one of the scenarios."""
    root = Path(__file__).parents[1] / "repro" / "scenarios"

    def find(name: str) -> Path:
        assert (root / name).is_dir()
        return root / name

    return find


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Write modules: ``package({"a/__init__.py": "..."})`` is a folder for ``sys.path``."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / "modules"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


# --- processes ----------------------------------------------------------------------------------


def carriers(token: str) -> dict[int, str]:
    """Live processes that carry ``token`` in their arguments or environment, with their state."""
    wanted = token.encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            carries = any(wanted in (folder / name).read_bytes() for name in ("environ", "cmdline"))
            state = state_of(int(folder.name))
        except OSError:
            continue
        if carries and state not in "ZX":
            found[int(folder.name)] = state
    return found


def state_of(pid: int) -> str:
    """The kernel's letter for a process; ``X`` when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "X"
    return text[text.rindex(")") + 2]


def wait_until(condition: Callable[[], object], within_s: float = 120.0) -> None:
    """Wait for something that the other side brings about."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """See `wait_until`."""
    return wait_until


@pytest.fixture(scope="session")
def state() -> Callable[[int], str]:
    """See `state_of`."""
    return state_of


@pytest.fixture
def token() -> Iterator[str]:
    """A text to find processes by; whoever still carries it at the end is ended."""
    made = uuid.uuid4().hex
    yield made
    for _ in range(50):
        left = carriers(made)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break


@pytest.fixture
def alive(token: str) -> Callable[[], dict[int, str]]:
    """The live processes that carry the test's token."""
    return lambda: carriers(token)


@pytest.fixture
def launch(token: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that carries the token, in a session of its own; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: Any) -> subprocess.Popen[bytes]:
        environment = {**options.pop("env", os.environ), TOKEN: token}
        options = {"stdin": subprocess.DEVNULL, "start_new_session": True, **options}
        process: subprocess.Popen[bytes] = subprocess.Popen(command, env=environment, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
