"""The entry in a process and then again in its forked child: what a copied process cannot do."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Exited, Observation, ProbeFacts
from deadlock_matrix.model.verdict import ProofKind, Verdict

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork"),
    pytest.mark.timeout(600),
]

Run = Callable[..., CellResult]
Observed = Callable[[CellResult], Observation]

# A pool of one thread that the first call starts: the forked child has the pool and not the thread.
POOL = """
import queue, sys, threading

pool = sys.modules.setdefault("pool", type(sys)("pool"))
if not hasattr(pool, "questions"):
    pool.questions, pool.answers = queue.SimpleQueue(), queue.SimpleQueue()

    def work():
        while True:
            pool.answers.put(pool.questions.get() * 2)

    threading.Thread(target=work, daemon=True).start()
pool.questions.put(21)
assert pool.answers.get() == 42
"""


def probe(seen: Observation) -> ProbeFacts:
    assert isinstance(seen.probe, Known), seen.probe
    return seen.probe.value


def test_both_passes_are_seen(run: Run, observed: Observed) -> None:
    seen = observed(run("import os; print(os.getpid(), flush=True)", calling="fork-again"))
    first, second = seen.stdout.kept.split()
    assert first != second
    assert (seen.phase, seen.end) == ("ended", Exited(status=0))
    assert probe(seen).prelude_s > 0 and probe(seen).entry_s > 0


def test_what_the_first_pass_loads_is_told(run: Run, observed: Observed) -> None:
    result = run("import json.tool", calling="fork-again", watch=("json.tool", "csv"))
    told = probe(observed(result))
    assert told.watched == {"json.tool": 1, "csv": 0}
    assert [step.module for step in told.chains["json.tool"]] == ["json.tool"]
    assert told.top_levels["json"] >= 3


@pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux")
def test_a_thread_that_the_fork_did_not_copy(run: Run, observed: Observed) -> None:
    assert run(POOL).verdict is Verdict.OK
    result = run(POOL, calling="fork-again")
    assert result.verdict is Verdict.DEADLOCK, result.why
    assert result.judgement is not None and result.judgement.proof is not None
    assert result.judgement.proof.kind is ProofKind.CLOSED_WORLD
    assert observed(result).phase == "entry"


def test_a_first_pass_that_raises_is_not_repeated(run: Run, observed: Observed) -> None:
    result = run("print('once', flush=True); raise ValueError('odd')", calling="fork-again")
    seen = observed(result)
    assert result.verdict is Verdict.ERROR and seen.end == Exited(status=1)
    assert seen.stdout.kept == "once\n"
    assert seen.raised is not None and seen.raised.message == "odd"


def test_a_second_pass_that_raises(run: Run, observed: Observed) -> None:
    statement = "import sys; assert not hasattr(sys, 'been'), 'again'; sys.been = True"
    result = run(statement, calling="fork-again")
    seen = observed(result)
    assert result.verdict is Verdict.ERROR and seen.end == Exited(status=1)
    assert seen.raised is not None and seen.raised.message == "again"
