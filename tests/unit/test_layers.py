"""The arrows between the layers, and between modules: each imports only what stands above it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

# In the repository: an installed package also holds the suite and the code under test.
PACKAGE = Path(__file__).resolve().parents[2] / "src" / "deadlock_matrix"
NAME = "deadlock_matrix"

DOOR = frozenset(
    {
        "errors", "model", "cache", "closing", "decoding", "wording", "interpreters", "matrix",
        "capture", "proof", "run", "report", "grid", "diagnosis", "causes", "studies", "render",
        "app", "",
    }
)  # fmt: skip

ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "model": frozenset(),
    "cache": frozenset(),
    "closing": frozenset(),
    "wording": frozenset(),
    "decoding": frozenset({"errors"}),
    "interpreters": frozenset({"errors", "model", "decoding"}),
    "matrix": frozenset({"errors", "model", "decoding", "wording", "interpreters"}),
    "probe": frozenset(),
    "capture": frozenset({"errors", "model", "closing", "decoding"}),
    "proof": frozenset({"errors", "model"}),
    "run": frozenset(
        {
            "errors",
            "model",
            "closing",
            "decoding",
            "wording",
            "interpreters",
            "matrix",
            "capture",
            "proof",
        }
    ),
    # The version of the tool is the package's own.
    "report": frozenset({"errors", "model", "closing", ""}),
    "grid": frozenset({"errors", "model", "interpreters", "matrix", "run", "report", ""}),
    "diagnosis": frozenset({"errors", "model", "wording"}),
    "causes": frozenset({"errors", "decoding", "diagnosis"}),
    "studies": frozenset({"errors", "model", "interpreters", "matrix", "diagnosis"}),
    "render": frozenset({"errors", "model", "diagnosis"}),
    "app": DOOR - {"render", "app", ""},
    "pytest_plugin": DOOR,
    "cli": DOOR,
    "": frozenset({"app"}),  # where the public functions are, imported when they are used
    "__main__": frozenset({"cli"}),
}
"""What a layer may import of the package besides itself; ``""`` is the package's own ``__init__``.

``model`` knows nobody. ``capture``, ``proof`` and ``report`` do not know each other.
"""

PURE = ("errors", "model", "wording", "proof", "diagnosis", "render")
IMPURE_MODULES = frozenset(
    {
        "_thread", "asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "importlib",
        "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "psutil",
        "random", "resource", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl",
        "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
    }
)  # fmt: skip
"""Ways to reach the world outside, or to depend on it."""

PURE_EXCEPTIONS = {
    "proof/conclude.py": {"signal"},  # the names of signals
}
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})

ALONE = {
    # Run by path, by an interpreter that need not have the package.
    "probe/probe.py": (3, 8),
    "interpreters/native/running_script.py": (3, 8),
    "run/subreaper_script.py": (3, 11),
    "capture/stacks_worker.py": (3, 11),
}
FROM_ELSEWHERE = {"capture/stacks_worker.py": {"pystack"}}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def layer_of(dotted: str) -> str:
    """``deadlock_matrix.run.cell`` is of the layer ``run``."""
    return dotted.split(".")[1] if "." in dotted else ""


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in the file, by its whole name, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base == NAME:  # ``from deadlock_matrix import run`` may mean the layer
                for alias in node.names:
                    known = alias.name in ALLOWED
                    yield (f"{NAME}.{alias.name}" if known else NAME), node.lineno
            else:
                yield base, node.lineno
        elif isinstance(node, ast.Call):
            yield from named_in_a_call(node)


def named_in_a_call(node: ast.Call) -> Iterator[tuple[str, int]]:
    """``import_module("deadlock_matrix.cli.run")``, an f-string too."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in ("import_module", "__import__") or not node.args:
        return
    text = node.args[0]
    if isinstance(text, ast.JoinedStr):
        text = text.values[0]  # type: ignore[assignment]
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield text.value.rstrip("."), node.lineno


def violations(files: Iterator[tuple[str, Path]]) -> list[str]:
    found = []
    for name, path in files:
        parts = name.removesuffix(".py").removesuffix("/__init__").split("/")
        layer = "" if parts == ["__init__"] else parts[0]
        folder = ".".join([NAME, *name.split("/")[:-1]])
        for imported, line in imports(ast.parse(path.read_text()), folder):
            if imported.partition(".")[0] != NAME:
                continue
            target = layer_of(imported)
            if target != layer and target not in ALLOWED[layer]:
                found.append(f"{name}:{line} imports {imported}")
    return found


def test_the_arrows() -> None:
    assert violations(modules()) == []


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def arrows_between_modules() -> dict[str, set[str]]:
    """What each module imports anywhere, for types too. The package itself offers what is above."""
    paths = {
        ".".join([NAME, *Path(name).with_suffix("").parts]).removesuffix(".__init__"): path
        for name, path in modules()
    }
    arrows: dict[str, set[str]] = {}
    for module, path in paths.items():
        if module == NAME:
            continue
        found = arrows[module] = set[str]()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                found |= {
                    inner if (inner := f"{base}.{alias.name}") in paths else base
                    for alias in node.names
                }
        found &= paths.keys()
    return arrows


def test_no_circle_between_modules() -> None:
    assert circle(arrows_between_modules()) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})


def test_recognition_and_investigation_do_not_know_each_other() -> None:
    """What both need stands in ``diagnosis`` itself, which knows neither."""
    parts = ("recognition", "investigation", "study")
    allowed = {("study", "investigation")}
    found = []
    for path in sorted((PACKAGE / "diagnosis").rglob("*.py")):
        own = path.relative_to(PACKAGE / "diagnosis").parts[0]
        for imported, line in imports(ast.parse(path.read_text()), NAME):
            names = imported.split(".")
            if names[1:2] == ["diagnosis"] and names[2:3] and names[2] in parts:
                if own == names[2] or (own, names[2]) in allowed:
                    continue
                found.append(f"{path.name}:{line} imports {imported}")
    assert found == []


def test_every_layer_is_known() -> None:
    layers = {
        "" if name == "__init__.py" else name.partition("/")[0].removesuffix(".py")
        for name, _ in modules()
    }
    assert layers <= set(ALLOWED)
    assert {layer for layer in ALLOWED if layer not in layers} == set()


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("model", "from deadlock_matrix.errors import ReportError"),
        ("proof", "from deadlock_matrix.capture.linux import LinuxCollector"),
        ("proof", "def f():\n    import deadlock_matrix.report.store"),
        ("capture", "if TYPE_CHECKING:\n    from deadlock_matrix.proof.judge import judge"),
        ("capture", "from deadlock_matrix import run"),
        ("capture", "from ..report import store"),
        ("render", "from .. import run"),
        ("report", "importlib.import_module('deadlock_matrix.proof.judge')"),
        ("report", "importlib.import_module(f'deadlock_matrix.render.{name}')"),
        ("run", "from deadlock_matrix.report.store import assemble"),
        ("matrix", "from deadlock_matrix.run.cell import run_cell"),
        ("probe", "import deadlock_matrix"),
        ("cli", "from deadlock_matrix.pytest_plugin import planning"),
        ("pytest_plugin", "from deadlock_matrix.cli import main"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, layer: str, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert len(violations(iter([(f"{layer}/module.py", path)]))) == 1


def test_pure_layers_reach_nothing_outside() -> None:
    found = []
    for name, path in modules():
        if name.partition("/")[0].removesuffix(".py") not in PURE:
            continue
        tree = ast.parse(path.read_text())
        for imported, line in imports(tree, NAME):
            top = imported.partition(".")[0]
            if top in IMPURE_MODULES | {"io"} and top not in PURE_EXCEPTIONS.get(name, set()):
                found.append(f"{name}:{line} imports {imported}")
        for node in ast.walk(tree):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in IMPURE_CALLS:
                found.append(f"{name}:{node.lineno} calls {called}")  # type: ignore[attr-defined]
    assert found == []


@pytest.mark.parametrize("name", ALONE)
def test_scripts_that_are_run_by_path_stand_alone(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text(), feature_version=ALONE[name])
    allowed = sys.stdlib_module_names | FROM_ELSEWHERE.get(name, set())
    outside = [each for each, _ in imports(tree, NAME) if each.partition(".")[0] not in allowed]
    assert outside == []


def test_the_probe_is_alone_in_its_folder() -> None:
    there = {path.name for path in (PACKAGE / "probe").iterdir()} - {"__pycache__"}
    assert there == {"probe.py"}


def test_the_probe_imports_before_the_entry_only_what_is_loaded_already() -> None:
    tree = ast.parse((PACKAGE / "probe" / "probe.py").read_text(), feature_version=(3, 8))
    at_once = [each for node in tree.body for each, _ in top_level_imports(node)]
    assert sorted(at_once) == ["os", "sys", "time"]
    # What a way of calling cannot do without, in the method that calls that way; everything else
    # is imported after the entry.
    (probe,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Probe")
    inside = {
        method.name: {each for each, _ in imports(method, NAME)}
        for method in probe.body
        if isinstance(method, ast.FunctionDef)
    }
    assert {name: found for name, found in inside.items() if found} == {
        "call_thread": {"threading"},
        "call_two_threads": {"threading"},
        "call_spawn": {"multiprocessing"},
        "write_facts": {"json"},
    }
    (watcher,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "ImportWatcher")
    assert list(imports(watcher, NAME)) == []


def top_level_imports(node: ast.stmt) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return
    yield from imports(node, NAME)


@pytest.mark.parametrize("module", ["__init__", "help", "shell"])
def test_an_import_of_the_command_line_is_light(module: str) -> None:
    """The command must start fast: its commands are imported when they are asked for."""
    tree = ast.parse((PACKAGE / "cli" / f"{module}.py").read_text())
    at_once = {each for node in tree.body for each, _ in top_level_imports(node)}
    assert at_once <= {
        "__future__", "contextlib", "gc", "os", "signal", "sys",
        f"{NAME}.errors", f"{NAME}.cli.help", f"{NAME}.cli.shell",
    }  # fmt: skip
