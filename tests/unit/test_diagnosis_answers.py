"""Plain answers, statements taken apart, the checklist and the cost."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.diagnosis_factory import make_cell, make_facts, make_result, make_target
from unit.proof_factory import evidence, frame, process, sleeping, stack, stacks

from deadlock_matrix.diagnosis.investigation.answers import (
    answer,
    hung_advice,
    hung_sentence,
    outcome_of,
)
from deadlock_matrix.diagnosis.investigation.checklist import Measurements, checklist
from deadlock_matrix.diagnosis.investigation.clues import Wait, clues_of
from deadlock_matrix.diagnosis.investigation.costs import cost_of
from deadlock_matrix.diagnosis.investigation.statements import (
    is_of,
    join,
    other_orders,
    split,
    used_in,
)
from deadlock_matrix.diagnosis.text import short_name
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.diagnosis import Check, HeavyImport, Outcome, SourceLine, Stuck
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary
from deadlock_matrix.model.observation import CellResult, ImportStep, Raised
from deadlock_matrix.model.process_facts import Peer
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.studies import numerics

CELL = make_cell()


def failed(type_: str, message: str, *, status: int = 1, stderr: str = "") -> CellResult:
    raised = Raised(type=type_, message=message, traceback="")
    return make_result(CELL, Verdict.ERROR, raised=raised, status=status, stderr=stderr)


def text(result: CellResult, *, script: str = "", nearby: str = "") -> str:
    return " ".join(answer(result, make_target(script=script), ["minee", "numpy"], nearby))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (failed("SystemExit", "2", status=2, stderr="usage: mine [-h] file\n"), "needs arguments"),
        (failed("SystemExit", "0", status=0), "ended the interpreter by itself"),
        (failed("EOFError", "EOF when reading a line"), "asks for input"),
        (failed("SyntaxError", "invalid syntax (x.py, line 3)"), "Correct the file first"),
        (failed("ImportError", "attempted relative import with no known parent package"),
         "package.module"),
        (failed("ModuleNotFoundError", "No module named 'mine'"), "It has minee."),
        (failed("ModuleNotFoundError", "No module named 'other'"), "which it needs"),
        (failed("ValueError", "x"), "fails with ValueError: x"),
        (make_result(CELL, Verdict.ERROR, status=3, why="ended with status 3"), "it ended with"),
        (make_result(CELL, Verdict.CRASH, why="ended by SIGSEGV"), "it crashes, ended by SIGSEGV"),
        (make_result(CELL, Verdict.SLOW, why="still moving after 30 s"), "--deadline SECONDS"),
        (CellResult(cell=CELL, verdict=Verdict.UNAVAILABLE, why="no such file",
                    observation=unknown("no such file")), "could not be run: no such file"),
    ],
)  # fmt: skip
def test_plain_answers(result: CellResult, words: str) -> None:
    said = text(result)
    assert words in said
    assert outcome_of(result) not in (Outcome.HANG, Outcome.DEADLOCK)


def test_a_script_is_told_where_to_put_its_arguments() -> None:
    result = failed("SystemExit", "2", status=2, stderr="usage: x.py [-h] file\n")
    assert "--script x.py -- ARGUMENTS" in text(result, script="x.py")


def test_a_package_that_lies_nearby_is_found() -> None:
    result = failed("ModuleNotFoundError", "No module named 'mine'")
    assert "--path /home/somebody/src" in text(result, nearby="/home/somebody/src")


def test_a_clean_run_needs_no_words() -> None:
    assert answer(make_result(CELL, Verdict.OK), make_target(), []) == ()


def test_a_hang_without_a_proof_may_be_slow() -> None:
    hung = make_result(CELL, Verdict.HANG)
    assert "--deadline" in hung_advice(hung, ())[0]
    assert "when the other end answers" in hung_advice(hung, {Wait.NETWORK})[0]
    assert hung_advice(make_result(CELL, Verdict.DEADLOCK), ()) == ()


def waiting_at(own: str, other: str) -> CellResult:
    peers = (Peer(socket="socket:[1]", protocol="TCP", other=other, own=own),)
    seen = evidence(process(sleeping(1), peers=known(peers, "made up")))
    hung = make_result(CELL, Verdict.HANG)
    assert isinstance(hung.observation, Known)
    observation = replace(hung.observation.value, evidence=known(seen, "made up"))
    return replace(hung, observation=known(observation, "made up"))


def test_a_server_is_not_told_to_wait_for_another_end() -> None:
    (said,) = hung_advice(waiting_at("127.0.0.1:8000", "0.0.0.0:0"), {Wait.NETWORK})
    assert "waits for connections at 127.0.0.1:8000" in said
    (said,) = hung_advice(waiting_at("127.0.0.1:40001", "10.0.0.1:80"), {Wait.NETWORK})
    assert "when the other end answers" in said


def test_a_wait_for_a_name_server_is_one_for_the_network() -> None:
    look_up = frame("getaddrinfo", "/usr/lib/python3.12/socket.py", 976)
    seen = evidence(process(sleeping(1)), stacks=(stacks(1, stack(1, frame("f"), look_up)),))
    hung = make_result(CELL, Verdict.HANG)
    assert isinstance(hung.observation, Known)
    observation = replace(hung.observation.value, evidence=known(seen, "made up"))
    hung = replace(hung, observation=known(observation, "made up"))
    waits = clues_of(hung, frozenset(), lambda path: False).waits
    assert Wait.NETWORK in waits
    assert "name server" in hung_advice(hung, waits)[0]


def test_a_hang_is_told_by_its_line_first() -> None:
    hung = make_result(CELL, Verdict.HANG)
    assert hung_sentence(hung, ()) == hung.why
    line = SourceLine(file="m.py", line=3, function="f", text="peer.recv(1)")
    stuck = Stuck(thread="main thread 7", does="reads from a TCP socket", lines=(line,))
    told = hung_sentence(hung, [stuck])
    assert told.startswith("Main thread 7 reads from a TCP socket, at m.py:3 (`peer.recv(1)`)")
    assert told.endswith("it has made no progress for 200 ms.")
    for another in ("thread 8 'entry'", "main thread of process 9"):
        told = hung_sentence(hung, [replace(stuck, thread=another)])
        assert told.endswith("it has made no progress.")  # nobody knows since when
    proved = make_result(CELL, Verdict.DEADLOCK)
    assert hung_sentence(proved, [stuck]) == proved.why


def test_an_exception_is_told_with_the_line_of_the_package_that_was_asked_for() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "<entry>", line 1, in <module>\n'
        '  File "/site-packages/mine/net.py", line 28, in load\n    data = get(URL)\n'
        '           ^^^^^^^^\n  File "/site-packages/urllib3/x.py", line 5, in get\n    fail()\n'
    )
    result = failed("OSError", "x" * 300)
    seen = replace(
        result.observation.value,
        raised=replace(  # type: ignore[union-attr]
            result.observation.value.raised, traceback=trace
        ),
    )  # type: ignore[union-attr]
    told = answer(replace(result, observation=known(seen, "x")), make_target(), [])
    assert told[0].endswith("xxx...")
    assert told[1] == "It is raised in /site-packages/mine/net.py:28: data = get(URL)"


def test_imports_whose_names_are_used_cannot_be_left_out() -> None:
    imports = ("import json", "from a.b import c as d", "import e.f", "import g")
    assert used_in(imports, "json.load(d)\nprint(e.f)") == imports[:3]
    assert used_in(imports, "") == ()
    assert is_of("import xml.sax", {"xml"})
    assert not is_of("from .xml import sax", {"xml"})


@pytest.mark.parametrize(
    ("statement", "imports", "rest"),
    [
        ("import a, b as c", ("import a", "import b as c"), ""),
        ("from a import b, c\nimport d\nd.run()", ("from a import b, c", "import d"), "d.run()"),
        ("x = 1\nimport a", (), "x = 1\nimport a"),
        ("not python at all", (), "not python at all"),
    ],
)
def test_a_statement_is_taken_apart(statement: str, imports: tuple[str, ...], rest: str) -> None:
    parts = split(statement)
    assert (parts.imports, parts.rest) == (imports, rest)


def test_and_put_together_again() -> None:
    parts = split('"""Text."""\nfrom __future__ import division\nimport c\na.run()')
    assert join(("import a",), parts) == f"{parts.head[0]}\n{parts.head[1]}\nimport a\na.run()"
    assert join((), split("")) == ""


def test_other_orders() -> None:
    assert other_orders("a") == ()
    assert other_orders("ab") == (("b", "a"),)
    orders = other_orders("abcdefg")
    assert len(orders) == len(set(orders)) == 4
    assert ("g", "f", "e", "d", "c", "b", "a") in orders
    assert all(sorted(order) == list("abcdefg") for order in orders)


@pytest.mark.parametrize(
    ("statement", "package"),
    [("import a.b", "a"), ("x = 1\nfrom c.d import e", "c"), ("x = 1", ""), ("(", "")],
)
def test_the_package(statement: str, package: str) -> None:
    assert imported_package(statement) == package


MKL = NativeLibrary(
    name="MKL", kind=LibraryKind.BLAS, path="/x/libmkl_rt.so", version=known("2024.2", "made up")
)
CONDA = Fingerprint(
    name="conda",
    executable="/opt/conda/bin/python",
    version="3.11.7",
    implementation="cpython",
    build="64 bit",
    distribution="Anaconda",
    free_threaded=False,
    packages={"torch": "2.5.1", "numpy": "1.26"},
    libraries=known((MKL,), "files"),
)


def checks(fingerprint: Fingerprint | None, clean: tuple[CellResult, ...] = ()) -> dict[str, Check]:
    fact = known(fingerprint, "made up") if fingerprint else unknown("it did not answer")
    result = make_result(CELL, Verdict.DEADLOCK)
    measured = Measurements(result=result, clean=clean, fingerprint=fact, trials=())
    made = (*numerics.checks(measured), *checklist(measured))
    return {check.text: check for check in made}


def test_the_checklist_tells_what_the_interpreter_is() -> None:
    found = checks(CONDA)
    assert found["Python comes from conda"].holds == known(True, "made up")
    assert "torch 2.5.1" in found["torch is installed"].detail
    assert found["MKL is among its libraries"].detail == "MKL 2024.2"
    assert found["it has more than one OpenMP runtime"].holds == known(False, "files")


def test_what_is_not_known_is_not_ticked() -> None:
    unknown_ones = [check for check in checks(None).values() if not isinstance(check.holds, Known)]
    assert {check.holds for check in unknown_ones} >= {unknown("it did not answer")}


def test_a_second_import_executes_nothing() -> None:
    once = make_result(CELL, Verdict.OK, facts=make_facts(watched={"torch": 1, "numpy": 0}))
    check = checks(CONDA, (once,))["a module's file is executed a second time"]
    assert check.holds == known(False, "a finder in runs that ended")
    assert check.detail == "torch once"


def test_a_module_that_is_executed_twice_is_seen() -> None:
    twice = make_result(CELL, Verdict.OK, facts=make_facts(watched={"torch": 2}))
    check = checks(CONDA, (twice,))["a module's file is executed a second time"]
    assert check.holds == known(True, "a finder in runs that ended")


def test_the_cost_names_who_imports_the_heavy_packages() -> None:
    facts = make_facts(entry_s=2.0, top_levels={"torch": 900, "small": 2})
    step = ImportStep(module="torch", importer="mine.models", file="/x/models.py", line=3)
    facts = replace(facts, chains={"torch": (step,)})
    cost = cost_of([make_result(CELL, Verdict.OK, facts=facts)])
    assert cost is not None
    assert (cost.seconds, cost.modules) == (2.0, 902)
    assert cost.heavy == (
        HeavyImport(
            name="torch",
            modules=900,
            imported_by=known("mine.models (models.py:3)", "a finder in the probe"),
        ),
    )


def test_there_is_no_cost_without_a_run() -> None:
    assert cost_of([]) is None


def test_a_name_that_many_files_have_is_told_with_its_folder() -> None:
    assert short_name("/src/mine/__init__.py") == "mine/__init__.py"
    assert short_name("C:\\src\\mine\\__init__.py") == "mine/__init__.py"
    assert short_name("/src/mine/core.py") == "core.py"
    assert short_name("__init__.py") == "__init__.py"
