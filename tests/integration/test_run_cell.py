"""One cell, from the order to the result: verdicts, facts, streams, and what cannot be run."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deadlock_matrix.model.cell import Calling, Cell
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    Observation,
    ProbeFacts,
    Signalled,
    Stopped,
)
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in procfs"),
    pytest.mark.timeout(600),
]

Run = Callable[..., CellResult]
Observed = Callable[[CellResult], Observation]
Package = Callable[[dict[str, str]], Path]


def facts(observation: Observation) -> ProbeFacts:
    assert isinstance(observation.probe, Known), observation.probe
    return observation.probe.value


# --- how a cell comes out -------------------------------------------------------------------------


def test_an_import_that_works(run: Run, observed: Observed) -> None:
    result = run("import json")
    seen = observed(result)
    assert (result.verdict, seen.end, seen.phase) == (Verdict.OK, Exited(status=0), "ended")
    assert seen.leftovers.alive == ()
    assert seen.raised is None and result.judgement is None and result.detected_after_s is None
    assert 0 < facts(seen).entry_s < seen.duration_s
    assert "json.decoder" in facts(seen).own_modules or facts(seen).top_levels["json"] >= 3
    assert msgspec.json.decode(msgspec.json.encode(result), type=CellResult) == result


def test_the_next_may_run_before_one_is_read(
    workspace: Workspace, make_cell: Callable[..., Cell], observed: Observed
) -> None:
    one, other = make_cell("open('file', 'w'); print('one')"), make_cell("print('other')")
    between: list[CellResult] = []
    result = run_cell(one, workspace, ended=lambda: between.append(run_cell(other, workspace)))
    (second,) = between
    for each, said in ((result, "one"), (second, "other")):
        assert each.verdict is Verdict.OK
        assert observed(each).stdout.kept.strip() == said
        assert facts(observed(each)).entry_s > 0
    assert observed(result).command[2:4] != observed(second).command[2:4]  # each its own files


@pytest.mark.parametrize(
    ("statement", "kind", "message", "status"),
    [
        ("import not_there_at_all", "ModuleNotFoundError", "not_there_at_all", 1),
        ("def", "SyntaxError", "invalid syntax", 1),
        ("raise SystemExit(7)", "SystemExit", "7", 7),
        ("raise SystemExit", "SystemExit", "", 0),
        ("raise SystemExit('too bad')", "SystemExit", "too bad", 1),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "", 1),
        ("def f(): f()\nf()", "RecursionError", "recursion", 1),
        ("class E(BaseException):\n def __str__(s): raise s\nraise E", "E", "could not be made", 1),
        ("class E(Exception): __module__ = 3\nraise E('odd')", "E", "odd", 1),
        ("raise ValueError('\\ud800 \\0 \\n')", "ValueError", "", 1),
        ("raise ValueError('x' * 10_000_000)", "ValueError", "xxx", 1),
    ],
)
def test_an_entry_that_raises(
    run: Run, observed: Observed, statement: str, kind: str, message: str, status: int
) -> None:
    result = run(statement)
    seen = observed(result)
    assert result.verdict is Verdict.ERROR, result.why
    assert seen.end == Exited(status=status)
    assert seen.raised is not None and seen.raised.type.rpartition(".")[2] == kind
    assert message in seen.raised.message
    assert kind in result.why and len(result.why) < 1000 and "\n" not in result.why
    assert len(msgspec.json.encode(result)) < 500_000


@pytest.mark.parametrize(
    "calling",
    [
        each.value
        for each in Calling
        if each not in (Calling.MAIN, Calling.CONCURRENT_IMPORTS, Calling.CONCURRENT_EXPORTS)
    ],
)
@pytest.mark.parametrize("statement", ["def", "raise ValueError('odd')"])
def test_an_error_reached_by_another_way(
    run: Run, observed: Observed, statement: str, calling: str
) -> None:
    result = run(statement, calling=calling)
    assert result.verdict is Verdict.ERROR
    assert observed(result).raised is not None
    assert observed(result).end == Exited(status=1)


def test_an_entry_that_leaves_without_a_word(run: Run, observed: Observed) -> None:
    result = run("import os; os._exit(0)")
    assert (result.verdict, observed(result).end) == (Verdict.ERROR, Exited(status=0))
    assert "before the entry had finished" in result.why
    result = run("import os; os._exit(9)")
    assert (result.verdict, observed(result).end) == (Verdict.ERROR, Exited(status=9))
    assert "status 9" in result.why


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGPIPE", "SIGTERM"])
def test_an_entry_that_ends_itself_by_a_signal(run: Run, observed: Observed, number: str) -> None:
    set_default = f"signal.signal(signal.{number}, signal.SIG_DFL)" if number != "SIGKILL" else ""
    statement = f"import os, signal\n{set_default}\nos.kill(os.getpid(), signal.{number})"
    for calling in ("main", "fork", "fork-again", "spawn"):
        result = run(statement, calling=calling)
        assert result.verdict is Verdict.CRASH, (calling, result.why)
        assert observed(result).end == Signalled(signal=getattr(signal, number))
        assert number in result.why


def test_a_prelude_that_raises(run: Run, observed: Observed) -> None:
    result = run("pass", prelude="import not_there_at_all")
    assert (result.verdict, observed(result).phase) == (Verdict.ERROR, "prelude")
    assert "not_there_at_all" in result.why


def test_what_a_prelude_binds_is_there_for_the_entry(run: Run, observed: Observed) -> None:
    for calling in ("main", "thread", "fork"):
        result = run("assert value == 3", prelude="value = 3", calling=calling)
        assert result.verdict is Verdict.OK, result.why
        assert facts(observed(result)).prelude_s > 0


# --- what cannot be run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "/nowhere/python"}, "/nowhere/python"),
        ({"python": "/"}, "/ "),
        ({"overlay": Path("/nowhere/layout")}, "/nowhere/layout"),
    ],
)
def test_what_is_not_there_is_unavailable(run: Run, change: dict[str, Any], said: str) -> None:
    result = run("pass", **change)
    assert result.verdict is Verdict.UNAVAILABLE
    assert isinstance(result.observation, Unknown)
    assert said in result.why


def test_an_executable_that_is_none(run: Run, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_bytes(b"\x7fELF nothing")
    fake.chmod(0o755)
    result = run("pass", python=str(fake))
    assert result.verdict is Verdict.UNAVAILABLE and "could not be started" in result.why


def test_the_workspace_goes_on_after_a_helper_was_lost(
    make_cell: Callable[..., Cell], workspace: Workspace, run: Run
) -> None:
    helper = workspace.supervisor._guard  # type: ignore[attr-defined]
    helper.kill()
    helper.wait()
    with pytest.raises(Exception, match="helper that guards the probes"):
        run_cell(make_cell("pass"), workspace)
    assert run("pass").verdict is Verdict.OK


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("calling", ["main", "thread", "fork"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [("null", "b''"), ("closed-pipe", "b''"), ("silent-pipe", "nothing yet")],
)
def test_standard_input(run: Run, observed: Observed, kind: str, said: str, calling: str) -> None:
    statement = """
import os, select, stat
ready = bool(select.select([0], [], [], 0)[0])
print(os.read(0, 10) if ready else "nothing yet", stat.S_ISFIFO(os.fstat(0).st_mode), flush=True)
"""
    result = run(statement, stdin=kind, calling=calling)
    assert result.verdict is Verdict.OK, result.why
    assert observed(result).stdout.kept == f"{said} {kind != 'null'}\n"


def test_what_is_printed_is_kept_apart(run: Run, observed: Observed) -> None:
    seen = observed(run("import sys; print('out ü'); print('err', file=sys.stderr)"))
    assert (seen.stdout.kept, seen.stderr.kept) == ("out ü\n", "err\n")
    assert seen.stdout.size == len("out ü\n".encode())


def test_a_long_output_keeps_its_ends(run: Run, observed: Observed) -> None:
    seen = observed(run("import os\nos.write(1, b'first ' + b'x' * 300_000 + b' last\\n')"))
    assert seen.stdout.size == 300_012
    assert len(seen.stdout.kept) < 70_000
    assert seen.stdout.kept.startswith("first x") and seen.stdout.kept.endswith("x last\n")
    assert "bytes cut here" in seen.stdout.kept


def test_printing_without_end_costs_neither_memory_nor_disk(
    run: Run, observed: Observed, workspace: Workspace
) -> None:
    statement = "import os\nwhile True: os.write(1, b'x' * 65536); os.write(2, b'y\\n' * 32768)"
    before = os.times()
    tracemalloc.start()
    try:
        result = run(statement, deadline_s=1.5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seen = observed(result)
    assert result.verdict in (Verdict.SLOW, Verdict.HANG)
    assert seen.stdout.size > 4 * 1024 * 1024 and len(seen.stdout.kept) < 70_000
    assert len(seen.stderr.kept) < 70_000
    assert peak < 32 * 1024 * 1024
    used = os.times()
    assert used.user + used.system - before.user - before.system < 1.5
    assert 1.4 < seen.duration_s < 10


@pytest.mark.parametrize(
    "statement",
    [
        "import os; os.closerange(0, 256)",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys, io; sys.stdout = sys.stderr = io.StringIO()",
        "import sys\nclass Broken:\n def write(self, text): raise OSError('broken')\n"
        " def flush(self): pass\nsys.stdout = sys.stderr = Broken()",
        "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
        "import os; os.chdir('/'); os.environ.clear()",
        "import sys; sys.path[:] = []; sys.meta_path[:] = []",
        "import sys; sys.modules.pop('__main__'); sys.modules.pop('os')",
        "import builtins, sys; sys.excepthook = None; builtins.open = None",
        "import os; os.umask(0o777)",
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_an_entry_that_turns_the_process_upside_down(
    run: Run, observed: Observed, statement: str, fails: bool
) -> None:
    result = run(statement + ("\nraise ValueError('after all')" if fails else ""))
    seen = observed(result)
    assert result.verdict is (Verdict.ERROR if fails else Verdict.OK), (result.why, seen.stderr)
    assert (seen.raised is not None) is fails
    assert facts(seen).entry_s > 0


def test_a_file_size_limit_of_the_entry_s_own(run: Run, observed: Observed) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    statement = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    result = run(statement)
    # Nothing can be written down then: told as an error, not as a success without facts.
    assert result.verdict in (Verdict.ERROR, Verdict.CRASH)
    assert isinstance(observed(result).probe, Unknown)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "import atexit, time; atexit.register(time.sleep, 1000)",
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
    ],
)
def test_a_hang_at_exit(run: Run, observed: Observed, statement: str) -> None:
    result = run(statement, deadline_s=4.0)
    seen = observed(result)
    assert result.verdict is Verdict.HANG, result.why
    assert (seen.end, seen.phase) == (Stopped(reason="deadline"), "exit")
    assert "at exit" in result.why
    assert facts(seen).entry_s < 4.0  # the entry itself had finished


def test_a_deadlock_at_exit_is_proved(run: Run, observed: Observed) -> None:
    statement = "import threading; threading.Thread(target=threading.Event().wait).start()"
    result = run(statement)
    assert (result.verdict, observed(result).phase) == (Verdict.DEADLOCK, "exit")


def test_an_entry_that_becomes_a_daemon(run: Run, observed: Observed) -> None:
    statement = """
import os, signal
r, w = os.pipe()
if os.fork():
    os.read(r, 1)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.write(w, b"x")
signal.pause()
"""
    result = run(statement)
    assert result.verdict is Verdict.ERROR and "before the entry had finished" in result.why
    assert observed(result).leftovers.ended >= 1


def test_a_copy_that_a_fork_made_writes_nothing_down(run: Run, observed: Observed) -> None:
    """Both come back from the entry; the facts are the original's alone."""
    statement = """
import os, sys
child = os.fork()
if child == 0:
    sys.modules["made_by_the_copy"] = sys
else:
    os.waitpid(child, 0)
"""
    result = run(statement)
    assert result.verdict is Verdict.OK, result.why
    assert "made_by_the_copy" not in facts(observed(result)).top_levels
    # The copy comes back from the entry, the original never does.
    statement = "import os\nchild = os.fork()\nif child: os.waitpid(child, 0); os._exit(0)"
    result = run(statement)
    assert result.verdict is Verdict.ERROR, result.why
