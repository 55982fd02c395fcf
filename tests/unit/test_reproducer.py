"""The script that stands alone: what it sets, and that it is Python whatever is asked for."""

from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.diagnosis_factory import make_cell, make_target

from deadlock_matrix.diagnosis.reproducer import Circumstances, make_reproducer
from deadlock_matrix.model.cell import Calling, Context, Entry, Stdin

ABOUT = Circumstances(
    sentence="Main thread waits for itself.",
    python="cpython 3.12.1",
    packages={"torch": "2.13"},
    environment={"OMP_NUM_THREADS": "2"},
    unset=["MKL_NUM_THREADS"],
    path="/home/somebody/src",
    how_often="in 5 of 5 runs",
    tool="deadlock-matrix 0.1",
)
CONTEXTS = [
    Context(name=f"{calling.value}-{stdin.value}", calling=calling, stdin=stdin, prelude=prelude)
    for calling in Calling
    for stdin in Stdin
    for prelude in ("", "import os\n\nos.getpid()\n")
]


def script(context: Context, statement: str = "import mine", about: Circumstances = ABOUT) -> str:
    target = make_target(statement=statement)
    return make_reproducer(make_cell(target, context), about)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_it_is_python_and_imports_the_standard_library_and_the_target_alone(
    context: Context,
) -> None:
    tree = ast.parse(script(context), feature_version=(3, 8))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    assert {name for name in names if name not in sys.stdlib_module_names} <= {"mine"}


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_breaks_it(sentence: str, path: str) -> None:
    about = replace(ABOUT, sentence=sentence, path=path, environment={"X": path})
    for calling in Calling:
        ast.parse(script(Context(name="c", calling=calling), 'print(\'"""\')', about))


def test_the_environment_is_set_before_anything_of_the_target_runs() -> None:
    text = script(Context(name="main"))
    lines = text.splitlines()
    assert "os.environ['OMP_NUM_THREADS'] = '2'" in lines
    assert "for name in ('MKL_NUM_THREADS',):" in lines
    assert lines.index("os.environ['OMP_NUM_THREADS'] = '2'") < lines.index("import mine")
    assert lines.index("sys.path.insert(0, '/home/somebody/src')") < lines.index("import mine")
    assert lines[-1] == "import mine"


def test_what_is_read_as_the_interpreter_starts_makes_it_start_again() -> None:
    about = replace(ABOUT, environment={"LD_LIBRARY_PATH": "/opt/blas"})
    assert "os.execv(sys.executable" in script(Context(name="main"), about=about)
    assert "os.execv" not in script(Context(name="main"))


def test_the_comment_says_what_it_hung_with() -> None:
    comment = "\n".join(line for line in script(Context(name="main")).splitlines()
                        if line.startswith("#"))  # fmt: skip
    for fact in ("cpython 3.12.1", "torch 2.13", "/usr/bin/python3", "in 5 of 5 runs",
                 "Main thread waits for itself.", "/home/somebody/src"):  # fmt: skip
        assert fact in comment


def test_one_that_does_not_always_hang_says_how_to_wait_for_it() -> None:
    assert "while timeout 7 " in script(Context(name="main"), about=replace(ABOUT, again=7.0))
    assert "while timeout" not in script(Context(name="main"))


def test_a_fork_runs_the_prelude_in_the_parent_first() -> None:
    context = Context(name="fork", calling=Calling.FORK, prelude="import os as used_first")
    lines = script(context).splitlines()
    assert lines.index("import os as used_first") < lines.index("child = os.fork()")


def test_a_statement_of_many_lines_is_executed_as_it_is() -> None:
    statement = 'text = """\n  kept\n"""\nif text:\n    import mine'
    tree = ast.parse(script(Context(name="t", calling=Calling.THREAD), statement))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert statement in strings
    entry = Entry(name="e", statement=statement)
    assert statement in make_reproducer(replace(make_cell(), entry=entry), ABOUT)
