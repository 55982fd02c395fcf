"""Small results and reports for the tests of report and render, and that they are well-formed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deadlock_matrix.model.cell import (
    Calling,
    Cell,
    Context,
    Entry,
    Interpreter,
    Layout,
    Profile,
    Role,
)
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    ImportStep,
    Leftovers,
    Observation,
    Output,
    ProbeFacts,
    Stopped,
)
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.report import Host, Tool
from deadlock_matrix.model.stack_facts import NativeFrame, ProcessStacks, StackFacts, ThreadStack
from deadlock_matrix.model.verdict import Gap, Judgement, Proof, ProofKind, Verdict
from deadlock_matrix.report.plan import Plan

HANGS = (Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW)
STATEMENTS = {
    "package": "import pack",
    "factory": "from pack.factory import Factory",
}


def cell(
    interpreter: str = "py",
    profile: str = "baseline",
    layout: str = "eager",
    entry: str = "factory",
    context: str = "main",
    **rest: Any,
) -> Cell:
    calling = Calling(context) if context in set(Calling) else Calling.MAIN
    return Cell(
        target="pack",
        interpreter=Interpreter(name=interpreter, executable=f"/opt/{interpreter}/bin/python"),
        profile=Profile(name=profile),
        layout=Layout(name=layout),
        entry=Entry(name=entry, statement=STATEMENTS.get(entry, f"import {entry}")),
        context=Context(name=context, calling=calling),
        watch_modules=rest.pop("watch_modules", ("pack.models", "torch")),
        **rest,
    )


def control(kind: str = "positive", interpreter: str = "py", **rest: Any) -> Cell:
    expect = (Verdict.DEADLOCK,) if kind == "positive" else (Verdict.OK,)
    return cell(
        interpreter=interpreter,
        layout="thread-imports" if kind == "positive" else "slow-import",
        role=Role(f"{kind}-control"),
        expect=expect,
        **rest,
    )


def chain(*modules: str) -> tuple[ImportStep, ...]:
    importers = ("__main__", *modules)
    return tuple(
        ImportStep(module=module, importer=importer, file=f"{importer}.py", line=3)
        for importer, module in zip(importers, modules, strict=False)
    )


def probe_facts(entry_s: float, chains: dict[str, tuple[ImportStep, ...]]) -> ProbeFacts:
    return ProbeFacts(
        python="3.11.7",
        entry_s=entry_s,
        prelude_s=0.0,
        modules_before=40,
        modules_after=60,
        top_levels={"pack": 20},
        watched={"pack.models": 0, "torch": 0} | dict.fromkeys(chains, 1),
        chains=chains,
        imported_s=dict.fromkeys(chains, 0.1),
        own_modules=("pack",),
        native_libraries=known((), "/proc/self/maps"),
        threads=known(("python",), "/proc/self/task"),
        python_threads=1,
        peak_memory_kib=unknown("not read"),
    )


def stack(tid: int, *frames: tuple[str, str, int], name: str = "python") -> ThreadStack:
    """Frames are ``(function, file, line)``; an importlib function carries the module's name."""
    return ThreadStack(
        tid=tid,
        name=name,
        python=tuple(
            PythonFrame(
                function=function.partition("(")[0],
                file=file,
                line=line,
                values={"name": function.partition("(")[2][:-1]} if "(" in function else {},
            )
            for function, file, line in frames
        ),
        native=(NativeFrame(symbol="futex_wait", library="/lib/libc.so.6", address=1),),
        holds_gil=unknown("not read"),
    )


IMPORTLIB = "<frozen importlib._bootstrap>"
STUCK = (
    stack(
        100,
        ("<module>", "<entry>", 1),
        ("_find_and_load('pack')", IMPORTLIB, 1176),
        ("<module>", "/opt/pack/__init__.py", 3),
        ("_find_and_load('pack._native')", IMPORTLIB, 1176),
    ),
    stack(101, ("run", "/opt/pack/worker.py", 7), name="pool-1"),
    stack(102, ("run", "/opt/pack/worker.py", 7), name="pool-2"),
)


def evidence(threads: tuple[ThreadStack, ...] = STUCK) -> Evidence:
    snapshot = Snapshot(
        begun_s=1.0, ended_s=1.1, root=100, processes=(), outside_holders=unknown("not read")
    )
    stacks = ProcessStacks(pid=100, tool="pystack", begun_s=1.0, ended_s=1.1, threads=threads)
    return Evidence(
        machine=Machine(system="linux", architecture="x86_64", kernel="6.1", libc="glibc 2.36"),
        before=snapshot,
        stacks=(StackFacts(pid=100, stacks=known(stacks, "pystack")),),
        after=snapshot,
    )


def judgement(proved: bool) -> Judgement:
    if not proved:
        gap = Gap(kind="unknown", subject="thread 101", detail="its futex address")
        return Judgement(outcome="not-proved", proof=None, gaps=(gap,))
    proof = Proof(
        kind=ProofKind.OWNER,
        sentence="Thread 100 waits for thread 101, which waits for thread 100.",
        roots=(),
        nodes=(),
        edges=(),
        conditions=(),
    )
    return Judgement(outcome="deadlock", proof=proof, gaps=())


def result(
    of: Cell | None = None,
    verdict: Verdict = Verdict.OK,
    entry_s: float = 0.5,
    chains: dict[str, tuple[ImportStep, ...]] | None = None,
    stderr: str = "",
    why: str = "",
    stdout: str = "",
) -> CellResult:
    """A result as a run would give it: evidence where it hung, probe facts where it did not."""
    of = of or cell()
    hung = verdict in HANGS
    if verdict is Verdict.UNAVAILABLE:
        why = why or "the layout needs Python >=3.15"
        return CellResult(cell=of, verdict=verdict, why=why, observation=unknown(why))
    no_probe = unknown("the entry did not finish")
    observation = Observation(
        phase="entry" if hung else "ended",
        end=Stopped(reason="deadline") if hung else Exited(status=int(verdict is not Verdict.OK)),
        duration_s=entry_s + 0.1,
        last_progress_s=known(0.1, "progress file"),
        probe=known(probe_facts(entry_s, chains or {}), "probe") if not hung else no_probe,
        raised=None,
        stdout=Output(size=len(stdout), kept=stdout),
        stderr=Output(size=len(stderr), kept=stderr),
        evidence=known(evidence(), "procfs") if hung else unknown("nothing hung"),
        leftovers=Leftovers(ended=int(hung), alive=()),
        command=("python", "probe.py"),
    )
    return CellResult(
        cell=of,
        verdict=verdict,
        why=why or f"the entry came out as {verdict.value}",
        observation=known(observation, "run"),
        judgement=judgement(verdict is Verdict.DEADLOCK) if hung else None,
    )


def right_controls(*interpreters: str) -> tuple[CellResult, ...]:
    return tuple(
        result(control(kind, name), verdict)
        for name in interpreters or ("py",)
        for kind, verdict in (("negative", Verdict.OK), ("positive", Verdict.DEADLOCK))
    )


def fingerprint(name: str = "py") -> InterpreterFacts:
    executable = f"/opt/{name}/bin/python"
    found = Fingerprint(
        name=name,
        executable=executable,
        version="3.11.7",
        implementation="CPython",
        build="main",
        distribution="python.org",
        free_threaded=False,
        packages={"torch": "2.13.0"},
        libraries=unknown("not looked for"),
    )
    return InterpreterFacts(name=name, executable=executable, fingerprint=known(found, "asked"))


def plan(cells: tuple[Cell, ...], controls: tuple[Cell, ...], **rest: Any) -> Plan:
    names = sorted({item.interpreter.name for item in cells})
    host = Host(
        system="Linux", release="6.1", machine="x86_64", cores=2, memory_mib=known(8000, "sysconf")
    )
    values: dict[str, Any] = {
        "tool": Tool(name="deadlock-matrix", version="0.1.0", python="3.11.7"),
        "host": host,
        "run": "20260131-154500-9f3c",
        "started": "2026-01-31T15:45:00Z",
        "arguments": ("tests/matrix", "--deadlock-matrix"),
        "interpreters": tuple(map(fingerprint, names)),
        "controls": controls,
        "cells": cells,
    }
    return Plan(**(values | rest))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_sample_survives_json(verdict: Verdict) -> None:
    sample = result(verdict=verdict, chains={"torch": chain("pack", "torch")})
    assert msgspec.json.decode(msgspec.json.encode(sample), type=CellResult) == sample
