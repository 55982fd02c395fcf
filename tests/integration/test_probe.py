"""The script inside a probe, on every CPython it has to run on: what it sees, what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation, ProbeFacts
from deadlock_matrix.model.verdict import Verdict

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at descriptors in procfs"),
    pytest.mark.timeout(600),
]

CALLINGS = tuple(
    each.value
    for each in Calling  # those that execute the entry once, and nothing else
    if each not in (Calling.FORK_AGAIN, Calling.CONCURRENT_IMPORTS, Calling.CONCURRENT_EXPORTS)
)
Run = Callable[..., CellResult]
Observed = Callable[[CellResult], Observation]
Package = Callable[[dict[str, str]], Path]


@pytest.fixture
def tell(run: Run, observed: Observed) -> Callable[..., tuple[ProbeFacts, Observation]]:
    """Run a cell that must come out ok; its facts."""

    def tell(statement: str, **rest: Any) -> tuple[ProbeFacts, Observation]:
        result = run(statement, **rest)
        assert result.verdict is Verdict.OK, (result.why, result.observation)
        seen = observed(result)
        assert isinstance(seen.probe, Known)
        return seen.probe.value, seen

    return tell


Tell = Callable[..., tuple[ProbeFacts, Observation]]


@pytest.fixture
def a_layout(package: Package) -> Path:
    return package({"one.py": ""})


CHAINED = {
    "top/__init__.py": "import sys\nfrom top.models import names\n",
    "top/models/__init__.py": "\nimport top.models.first\n\nnames = ()\n",
    "top/models/first.py": "def load():\n    import heavy\n\nload()\n",
    "heavy.py": "import time\ntime.sleep(0.05)\n",
    "late.py": "import heavy\n",
}


@pytest.mark.parametrize("calling", CALLINGS)
def test_facts_on_every_python(tell: Tell, package: Package, python: str, calling: str) -> None:
    watched = ("top.models", "heavy", "late", "not_there")
    facts, seen = tell(
        "import top\nimport late",
        overlay=package(CHAINED),
        watch=watched,
        python=python,
        calling=calling,
    )
    version = Path(python).resolve().name.removeprefix("python")
    assert facts.python.startswith(version)
    once = {"top.models": 1, "heavy": 1, "late": 1, "not_there": 0}
    assert facts.watched == once  # also with two threads: the second finds it loaded
    assert 0.05 < facts.entry_s < 20 and facts.prelude_s == 0
    own = set(facts.own_modules)
    assert own == {"top", "top.models", "top.models.first", "late"}
    # In the order in which they were there: a module is entered anew when its import is over.
    assert facts.own_modules.index("top.models.first") < facts.own_modules.index("top")
    assert facts.top_levels["top"] == 3 and facts.top_levels["heavy"] == 1
    assert facts.modules_after - facts.modules_before == sum(facts.top_levels.values())
    chain = facts.chains["heavy"]
    assert [step.module for step in chain] == ["top", "top.models", "top.models.first", "heavy"]
    assert [step.importer for step in chain] == [
        "__main__", "top", "top.models", "top.models.first",
    ]  # fmt: skip
    assert [step.line for step in chain] == [1, 2, 2, 2]
    assert chain[0].file == "<entry>" and chain[-1].file.endswith("top/models/first.py")
    # With two threads either may have begun the entry first, on a busy machine long before.
    assert 0 <= facts.imported_s["heavy"] < 20
    assert facts.imported_s.keys() == facts.chains.keys()
    assert [step.module for step in facts.chains["late"]] == ["late"]
    assert isinstance(facts.native_libraries, Known)
    assert any("libc" in path for path in facts.native_libraries.value)
    assert isinstance(facts.threads, Known) and len(facts.threads.value) == 1
    assert facts.python_threads == 1
    assert isinstance(facts.peak_memory_kib, Known)
    assert 4_000 < facts.peak_memory_kib.value < 100_000
    assert seen.phase == "ended"


WAYS = {
    Calling.MAIN: ["MainThread"],
    Calling.THREAD: ["entry"],
    Calling.TWO_THREADS: ["entry-1", "entry-2"],
    Calling.FORK: ["MainThread"],
    Calling.FORK_AGAIN: ["MainThread", "MainThread"],
    Calling.SPAWN: ["MainThread"],
    Calling.CONCURRENT_IMPORTS: ["MainThread", "entry-top.one", "entry-top.two"],
    Calling.CONCURRENT_EXPORTS: ["MainThread", "entry-first", "entry-second"],
}
"""The threads in which the entry, the submodules and the lazy exports below are executed."""

SAY = "import os, threading; os.write(1, threading.current_thread().name.encode() + b'\\n')"
LAZY = f"""
__all__ = ["first", "second"]

def __getattr__(name):
    if name not in __all__:
        raise AttributeError(name)
    {SAY}
"""


@pytest.mark.parametrize("calling", Calling)
def test_every_way_of_calling(tell: Tell, package: Package, python: str, calling: Calling) -> None:
    overlay = package({"top/__init__.py": LAZY, "top/one.py": SAY, "top/two.py": SAY})
    facts, seen = tell(f"import top; {SAY}", overlay=overlay, python=python, calling=calling)
    assert sorted(seen.stdout.kept.splitlines()) == WAYS[calling]
    assert "top" in facts.own_modules or calling is Calling.FORK_AGAIN  # there it was loaded before
    assert seen.raised is None and seen.phase == "ended"


def test_executions(tell: Tell, package: Package, python: str) -> None:
    statement = """
import importlib, importlib.util, sys
import reloaded
importlib.reload(reloaded)
importlib.util.find_spec("asked_for")
importlib.util.find_spec("pack.inner")
try:
    import failing
except ValueError:
    pass
importlib.import_module("by_name")
import by_name
__import__("again")
del sys.modules["again"]
__import__("again")
"""
    names = ("reloaded", "asked_for", "pack", "pack.inner", "failing", "by_name", "again")
    files = {
        **{f"{name}.py": "" for name in names if "pack" not in name},
        "failing.py": "raise ValueError",
        "pack/__init__.py": "",
        "pack/inner.py": "",
    }
    facts, _ = tell(statement, overlay=package(files), watch=names, python=python)
    assert facts.watched == {
        "reloaded": 2,
        "asked_for": 0,
        "pack": 1,  # to find what is inside, the package itself is imported
        "pack.inner": 0,
        "failing": 0,
        "by_name": 1,
        "again": 2,
    }
    assert set(facts.chains) == {"reloaded", "pack", "by_name", "again"}
    (step,) = facts.chains["by_name"]
    assert (step.module, step.importer, step.file) == ("by_name", "__main__", "<entry>")


def test_threads_that_are_left_running(tell: Tell, python_at_the_ends: str) -> None:
    statement = "import threading, time\nfor n in range(3):\n threading.Thread(\n"
    statement += "  target=time.sleep, args=(1000,), daemon=True).start()"
    facts, _ = tell(statement, python=python_at_the_ends)
    assert facts.python_threads == 4
    assert isinstance(facts.threads, Known) and len(facts.threads.value) == 4


def test_file_names_that_are_not_text(tell: Tell, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    Path(odd).mkdir()
    (Path(odd) / "odd.py").write_text("import target_of_it")
    (Path(odd) / "target_of_it.py").write_text("")
    statement = f"import sys; sys.path.insert(0, {odd!r}); import odd"
    facts, _ = tell(statement, watch=("target_of_it",))
    assert facts.chains["target_of_it"][-1].file.endswith("/??/odd.py")


# --- what the user's own script would see ---------------------------------------------------------

LOOK = """
import sys
def look():
    import os
    found = {
        "modules": loaded,
        "argv": list(sys.argv),
        "path": list(sys.path),
        "environ": dict(os.environ),
        "flags": repr(sys.flags),
        "warnoptions": list(sys.warnoptions),
        "main": sorted(set(sys.modules["__main__"].__dict__)),
        "name": sys.modules["__main__"].__name__,
        "is_main": sys.modules["__main__"].__dict__ is globals(),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
        "finders": [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path],
        "importers": sorted(sys.path_importer_cache),
        "hooks": [sys.gettrace() is None, sys.getprofile() is None,
                  sys.excepthook is sys.__excepthook__],
        "streams": [stream.line_buffering for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "cwd": os.listdir("."),
        "session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "umask": os.umask(0),
    }
    import signal
    found["signals"] = [n for n in range(1, 65) if n not in (32, 33)
                        and signal.getsignal(n) is not signal.SIG_DFL]
    found["blocked"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    for line in open("/proc/self/status"):
        if line.startswith(("SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp:")):
            found[line.split(":")[0]] = line.split()[1]
    import gc, locale, resource
    found["gc"] = [gc.isenabled(), gc.get_threshold(), gc.get_debug()]
    found["limits"] = [resource.getrlimit(n) for n in range(15)]
    import json
    print(json.dumps(found))
loaded = sorted(sys.modules)
look()
"""


def look_by_itself(python: str, environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """The same look by ``python -c``, as near to a script of the user's own as can be."""
    done = subprocess.run(
        [python, "-c", LOOK],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        start_new_session=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_probe_adds_nothing_to_be_seen(
    tell: Tell, python: str, a_layout: Path, tmp_path: Path
) -> None:
    _, seen = tell(LOOK, python=python, overlay=a_layout)
    probe: dict[str, Any] = json.loads(seen.stdout.kept)
    environment = probe.pop("environ")
    (tmp_path / "cwd").mkdir()
    alone = look_by_itself(python, environment, tmp_path / "cwd")
    assert alone.pop("environ") == environment
    # The list of finders has the watcher on top; it finds nothing.
    assert probe.pop("finders") == ["ImportWatcher", *alone.pop("finders")]
    # ``-c`` leaves its mark in argv[0], the probe an empty one, as an interactive session does.
    assert (probe.pop("argv"), alone.pop("argv")) == ([""], ["-c"])
    # First on the path is where the script lies: the layout, or with ``-c`` the working folder.
    assert probe["path"].pop(0) != alone["path"].pop(0) == ""
    assert not any("deadlock_matrix" in path for path in probe["path"])
    # Where a script was looked for as a zip file or a folder. Nothing is imported from it.
    extra = set(probe.pop("importers")) - set(alone.pop("importers"))
    assert {Path(path).name for path in extra} <= {"probe.py"}
    # What the entry itself binds is there, and nothing of the probe.
    assert set(probe.pop("main")) <= set(alone.pop("main"))
    # Nothing more than ``python -c pass`` has; from 3.11 on, that loads ``linecache`` for ``-c``.
    assert set(probe.pop("modules")) <= set(alone.pop("modules"))
    assert probe.pop("umask") == alone.pop("umask")
    assert probe == alone
    assert probe["descriptors"][:3] == [0, 1, 2] and len(probe["descriptors"]) == 4  # the listing's
    assert probe["threads"] == 1 and probe["blocked"] == [] and probe["SigBlk"].strip("0") == ""


@pytest.mark.parametrize("calling", ["thread", "fork"])
def test_nor_by_another_way_of_calling(
    tell: Tell, python_at_the_ends: str, a_layout: Path, tmp_path: Path, calling: str
) -> None:
    _, seen = tell(LOOK, python=python_at_the_ends, overlay=a_layout, calling=calling)
    probe: dict[str, Any] = json.loads(seen.stdout.kept)
    assert probe["descriptors"][:3] == [0, 1, 2] and len(probe["descriptors"]) == 4
    assert probe["threads"] == (2 if calling == "thread" else 1)
    assert (probe["argv"], probe["name"], probe["is_main"]) == ([""], "__main__", True)
    assert probe["blocked"] == [] and probe["cwd"] == []
    added = set(probe["modules"]) - set(look_by_itself(python_at_the_ends, {}, tmp_path)["modules"])
    assert ("threading" in added) is (calling == "thread")
    assert not any(name in added for name in ("json", "traceback", "multiprocessing", "signal"))


def test_dispositions_and_masks_of_the_harness_stay_outside(run: Run, observed: Observed) -> None:
    """A harness under nohup, or one that blocks signals, does not hand that on."""
    statement = """
for line in open("/proc/self/status"):
    if line.startswith(("SigBlk", "SigIgn", "SigCgt")):
        print(line.split()[1])
"""
    plain = observed(run(statement)).stdout.kept
    code = """
import signal, sys
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGALRM])
import pathlib, tempfile
from deadlock_matrix.model.cell import *
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace
cell = Cell(target="t", interpreter=Interpreter(name="p", executable=sys.executable),
            profile=Profile(name="p"), layout=Layout(name="l"), context=Context(name="c"),
            entry=Entry(name="e", statement=sys.argv[1]))
with tempfile.TemporaryDirectory() as folder, Workspace(*[pathlib.Path(folder)] * 2) as workspace:
    print(run_cell(cell, workspace).observation.value.stdout.kept, end="")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, statement],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout == plain
    blocked, ignored, _ = (int(line, 16) for line in plain.split())
    assert blocked == 0
    by_python = {signal.SIGPIPE, signal.SIGXFSZ}
    assert ignored == sum(1 << (number - 1) for number in by_python)


@pytest.mark.parametrize(
    ("variables", "first"),
    [({"PYTHONSAFEPATH": "1"}, True), ({"PYTHONPATH": "/nowhere/one"}, True), ({}, False)],
)
def test_the_path_under_variables_of_a_profile(
    tell: Tell, python_at_the_ends: str, a_layout: Path, variables: dict[str, str], first: bool
) -> None:
    statement = "import sys; print(sys.path)"
    for overlay in (None, a_layout):
        _, seen = tell(statement, python=python_at_the_ends, variables=variables, overlay=overlay)
        path = eval(seen.stdout.kept)
        if overlay is not None:
            assert "layouts" in path.pop(0)
        if "PYTHONPATH" in variables:
            assert path.pop(0) == "/nowhere/one"
        assert path[0].endswith(".zip")


def test_the_environment_is_exactly_the_profile_s(
    tell: Tell, python_at_the_ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDED", "NOX_ADDED", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OF_THE_USER_S_OWN", mark)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    statement = "import json, os; print(json.dumps(dict(os.environ)))"
    _, seen = tell(statement, python=python_at_the_ends, variables={"OMP_NUM_THREADS": "3"})
    environment = json.loads(seen.stdout.kept)
    expected = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("PYTHON", "PYTEST_", "NOX_", "COV_", "COVERAGE_", "VIRTUAL_ENV", "DEADLOCK_MATRIX_")
        )
    }
    expected.pop("_", None)
    expected |= {"OMP_NUM_THREADS": "3", "PATH": "/usr/bin:/bin"}
    environment.pop("WANTED_TOKEN")
    if "LC_CTYPE" not in expected and environment.get("LC_CTYPE") == "C.UTF-8":
        del environment["LC_CTYPE"]  # CPython's own doing in the C locale (PEP 538)
    assert environment == expected
    assert seen.environment["OMP_NUM_THREADS"] == "3"
    assert "OF_THE_USER_S_OWN" not in seen.environment and mark not in str(seen.environment)


def test_an_argument_that_is_not_text(tell: Tell) -> None:
    _, seen = tell("import os; print(os.environb[b'ODD'])", variables={"ODD": "\udcff"})
    assert seen.stdout.kept == "b'\\xff'\n"


def test_a_large_environment(tell: Tell) -> None:
    variables = {f"LARGE_{n}": "x" * 100_000 for n in range(4)}
    _, seen = tell("import os; print(len(os.environ['LARGE_3']))", variables=variables)
    assert seen.stdout.kept == "100000\n"
