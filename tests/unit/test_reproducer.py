"""The script that stands alone: what it sets, and that it is Python whatever is asked for."""

from __future__ import annotations

import ast
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deadlock_matrix.diagnosis.investigation.reproducer import Claims, Script, reproducer_text
from deadlock_matrix.diagnosis.investigation.sources import Source, pieces
from deadlock_matrix.model.cell import Calling, Context, Stdin

CLAIMS = Claims(
    first="This script hangs. It was run in an empty folder: deadlock.",
    sentence="Main thread waits for itself.",
    python="cpython 3.12.1",
    needs=["torch==2.13"],
    how_often="5 of 5 runs hung",
    tool="deadlock-matrix 0.1",
)
CONTEXTS = [
    Context(name=f"{calling.value}-{stdin.value}", calling=calling, stdin=stdin, prelude=prelude)
    for calling in Calling
    for stdin in Stdin
    for prelude in ("", "import os\n\nos.getpid()\n")
]


def script(
    context: Context, statement: str = "import mine", claims: Claims = CLAIMS, **parts: Any
) -> str:
    parts = {
        "environment": {"OMP_NUM_THREADS": "2"},
        "unset": ["MKL_NUM_THREADS"],
        "path": "/home/somebody/src",
        "sources": (Source(name="mine.py", text="x = 1\n"),),
    } | parts
    return reproducer_text(Script(statement=statement, context=context, **parts), claims)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_it_is_python_and_imports_the_standard_library_and_the_target_alone(
    context: Context,
) -> None:
    tree = ast.parse(script(context), feature_version=(3, 8))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    tops = {name.partition(".")[0] for name in names}
    assert {name for name in tops if name not in sys.stdlib_module_names} <= {"mine"}


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_breaks_it(sentence: str, text: str) -> None:
    claims = replace(CLAIMS, sentence=sentence, missing=[sentence])
    sources = (Source(name=text, text=text), Source(name="b", text=sentence))
    for calling in Calling:
        ast.parse(
            script(
                Context(name="c", calling=calling),
                'print(\'"""\')',
                claims,
                path=text,
                environment={"X": text},
                sources=sources,
            )
        )


@given(st.text(max_size=60))
def test_a_file_is_carried_as_it_is(text: str) -> None:
    tree = ast.parse(script(Context(name="main"), sources=(Source(name="mine.py", text=text),)))
    (carried,) = [node.value for node in tree.body if isinstance(node, ast.Assign)
                  and isinstance(node.value, ast.Dict)]  # fmt: skip
    assert ast.literal_eval(carried) == {"mine.py": text}


def test_a_script_that_begins_with_a_future_import_stays_a_program() -> None:
    text = '"""What it is for."""\nfrom __future__ import annotations\n\nimport mine\n'
    compile(script(Context(name="main"), text), "reproducer.py", "exec")


def test_the_environment_is_set_before_anything_of_the_target_runs() -> None:
    text = script(Context(name="main"))
    lines = text.splitlines()
    assert "os.environ['OMP_NUM_THREADS'] = '2'" in lines
    assert "for name in ('MKL_NUM_THREADS',):" in lines
    assert lines.index("os.environ['OMP_NUM_THREADS'] = '2'") < lines.index("import mine")
    assert lines.index("sys.path.insert(0, '/home/somebody/src')") < lines.index("import mine")
    assert lines[-1] == "import mine"


def test_what_is_read_as_the_interpreter_starts_makes_it_start_again() -> None:
    assert "os.execv(sys.executable" in script(
        Context(name="main"), environment={"LD_LIBRARY_PATH": "/opt/blas"}
    )
    assert "os.execv" not in script(Context(name="main"))


def test_the_comment_says_what_it_hung_with() -> None:
    comment = "\n".join(line for line in script(Context(name="main")).splitlines()
                        if line.startswith("#"))  # fmt: skip
    for fact in ("cpython 3.12.1", "pip install torch==2.13", "5 of 5 runs hung", "mine.py",
                 "Main thread waits for itself.", "in an empty folder: deadlock"):  # fmt: skip
        assert fact in comment


def test_one_that_does_not_always_hang_says_how_to_wait_for_it() -> None:
    assert "while timeout 7 " in script(Context(name="main"), claims=replace(CLAIMS, again=7.0))
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
    assert statement in script(Context(name="main"), statement)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import a\n",
        "# first\nimport a; import b\n\n@decorated\ndef f():\n    pass\n# last\n",
        "x = (\n  1,\n)\nif x:\n    y = 2\nelse:\n    y = 3\n",
        "a = 1; b = (\n 2)\nc = 3",
        "no python at all",
    ],
)
def test_a_program_is_cut_between_its_statements(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    if text != "no python at all":
        for piece in found:
            ast.parse(piece)
        cut = [len(ast.parse(piece).body) for piece in found]
        assert sum(cut) == len(ast.parse(text).body)


def test_a_file_with_a_backslash_is_carried_in_lines() -> None:
    text = 'PATTERN = "\\d+"\nprint("a\\n")\n'
    made = script(Context(name="main"), sources=(Source(name="mine.py", text=text),))
    assert '\nPATTERN = "\\\\d+"\n' in made
