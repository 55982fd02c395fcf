"""The recipes of interpreters: their data, what is remembered of them, what they promise."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    InterpreterFacts,
    NativeLibrary,
    Running,
    ThreadPool,
)
from environments import collect, promises, recipes
from environments.recipes import LIBRARIES, RECIPES, Recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of ``.nox``."""
    monkeypatch.setattr(recipes, "NOX", tmp_path)
    return tmp_path


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipes.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --- the data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipe_is_complete(recipe: Recipe) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", recipe.name)
    assert recipe.command
    assert recipe.summary or recipe.backend == "found"
    assert not recipe.library or recipe.environment or recipe.system_packages, (
        "a library goes in front of an environment"
    )
    assert recipe.locks or recipe.environment or recipe.backend == "found"
    assert recipe.default is any(key in recipe.promises for key in ("torch", "numpy"))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_promises_are_of_a_kind_that_is_checked(recipe: Recipe) -> None:
    names = {"MKL", "OpenBLAS", "BLIS", "reference BLAS"}
    for subject, promised in recipe.promises.items():
        if subject == promises.OPENMP:
            assert set(promised) <= {"libgomp", "libiomp5", "libomp"}
        else:
            assert subject in ("numpy", "torch")
            assert promised.partition(" (")[0] in names


def test_no_two_default_recipes_are_the_same_interpreter() -> None:
    default = [recipe for recipe in RECIPES.values() if recipe.default]
    assert len({recipe.stamp for recipe in default}) == len(default)


def test_what_recipes_require_are_sessions_whose_modules_are_in_their_stamps() -> None:
    noxfile = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in noxfile.body if isinstance(node, ast.FunctionDef)}
    required = {name for recipe in RECIPES.values() for name in recipe.requires}
    assert required and required <= sessions
    for name in required:
        assert (ROOT / "environments" / f"{name}.py").exists()


def test_libraries_come_from_somewhere() -> None:
    for library in LIBRARIES.values():
        assert bool(library.lock) != bool(library.system_packages), library.name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[recipe]]\nname = "a"\n[[recipe]]\nname = "a"', "'a' is there twice"),
        ('[[recipe]]\nname = "a"\nbackend = "spack"', "backend 'spack' is none of"),
        ('[[recipe]]\nname = "a"\nsumary = ""', "a: unknown fields sumary"),
        ('[[recipe]]\nname = "a"\nlibrary = "goto"', "there is no library 'goto'"),
        ('[[recipe]]\nname = "a"\nenvironment = "b"', "there is no recipe 'b'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        recipes.read(write(tmp_path, text))


def test_fields_with_hyphens_become_names_of_python(tmp_path: Path) -> None:
    text = '[[recipe]]\nname = "a"\nsystem-packages = ["x", "y"]'
    (recipe,) = recipes.read(write(tmp_path, text))[0].values()
    assert recipe.system_packages == ("x", "y")


def test_no_file_names_a_registry() -> None:
    for path in [ROOT / "noxfile.py", *(ROOT / "environments").glob("*.*")]:
        assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path


# --- refusals -----------------------------------------------------------------------------------


def test_a_recipe_for_other_machines_is_refused() -> None:
    assert "it is for plan9-68020" in Recipe(name="a", platforms=("plan9-68020",)).refusal()


def test_a_recipe_for_other_pythons_is_refused() -> None:
    assert "it needs Python <3" in Recipe(name="a", pythons="<3").refusal()


def test_a_real_channel_makes_conda_openblas_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(name="a", backend="conda", conda=("numpy",))
    monkeypatch.delenv(recipes.CHANNEL_VARIABLE, raising=False)
    assert "names none" in recipe.refusal()
    monkeypatch.setenv(recipes.CHANNEL_VARIABLE, "conda-forge")
    assert recipe.refusal() == ""
    assert recipe.channel == "conda-forge"


# --- stamps and records -------------------------------------------------------------------------


def test_a_stamp_stays_and_tells_recipes_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def stamp(**fields: Any) -> str:
        return Recipe(name="a", **fields).stamp

    assert stamp(locks=("torch",)) == stamp(locks=("torch",))
    assert stamp(locks=("torch",)) != stamp(locks=("system",))
    assert stamp(summary="one") == stamp(summary="another")
    assert stamp(promises={"numpy": "MKL"}) == stamp(), "a promise builds nothing"
    before = stamp(locks=("torch",)), stamp(locks=("numpy",))
    monkeypatch.setenv(recipes.TORCH_INDEX_VARIABLE, "file:///wheels")
    after = stamp(locks=("torch",)), stamp(locks=("numpy",))
    assert before[0] != after[0]
    assert before[1] == after[1], "the index is for torch"


def test_a_stamp_changes_with_the_environment_below(monkeypatch: pytest.MonkeyPatch) -> None:
    def above(locks: tuple[str, ...]) -> str:
        monkeypatch.setitem(RECIPES, "below", Recipe(name="below", locks=locks))
        return Recipe(name="a", environment="below", library="blis").stamp

    assert above(("torch",)) != above(("system",))


def test_what_was_recorded_is_built(nox: Path) -> None:
    recipe, python, blas = Recipe(name="a"), nox / "python", nox / "blas"
    python.touch()
    blas.mkdir()
    assert recipe.built() is None
    recipe.record(str(python), {"LD_LIBRARY_PATH": str(blas)})
    built = recipe.built()
    expected = Interpreter(
        name="a", executable=str(python), set={"LD_LIBRARY_PATH": str(blas)}, unavailable=""
    )
    assert msgspec.convert(built, Interpreter) == expected


@pytest.mark.parametrize("gone", ["python", "blas", "recipe", "record"])
def test_what_has_gone_or_changed_is_built_again(nox: Path, gone: str) -> None:
    recipe, python, blas = Recipe(name="a"), nox / "python", nox / "blas"
    python.touch()
    blas.mkdir()
    recipe.record(str(python), {"LD_LIBRARY_PATH": str(blas)})
    if gone == "python":
        python.unlink()
    elif gone == "blas":
        blas.rmdir()
    elif gone == "record":
        (record,) = (nox / "interpreters").iterdir()
        record.write_text(record.read_text()[:20])
    else:
        recipe = Recipe(name="a", locks=("torch",))
    assert recipe.built() is None


def test_what_comes_before_is_left_out_where_it_is_not_needed(
    nox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(recipes.CHANNEL_VARIABLE, raising=False)
    fields: dict[str, Any] = {"backend": "conda", "conda": ("a",), "requires": ("conda_channel",)}
    recipe = Recipe(name="a", local_conda=("pip",), **fields)
    assert recipe.before == ("conda_channel",)
    assert Recipe(name="b", environment="pip-torch").before == ("environment-pip-torch",)
    assert not Recipe(name="c", pythons="<3", requires=("numpy_on_mkl",)).before
    monkeypatch.setenv(recipes.CHANNEL_VARIABLE, "conda-forge")
    assert not recipe.before, "everything comes from the real channel"


# --- what has become of them --------------------------------------------------------------------


def test_the_reason_and_the_command_are_said(nox: Path) -> None:
    recipe = Recipe(name="a", obtain="apt-get install a")
    found = collect.collect(recipe, {"environment-a": "there is no compiler"})
    assert found == Interpreter(name="a", unavailable="there is no compiler; apt-get install a")
    found = collect.collect(recipe, {"environment-a": ""})
    assert found.unavailable == "it could not be built; apt-get install a"


def test_the_reason_of_what_comes_before_is_said(nox: Path) -> None:
    reasons = {
        "environment-a": "Prerequisite session conda_channel was not successful",
        "conda_channel": "Prerequisite session numpy_on_mkl was not successful",
        "numpy_on_mkl": "there is no C++ compiler",
    }
    found = collect.collect(Recipe(name="a", obtain="apt-get install g++"), reasons)
    assert found.unavailable == "there is no C++ compiler; apt-get install g++"
    del reasons["numpy_on_mkl"]
    found = collect.collect(Recipe(name="a", obtain="apt-get install g++"), reasons)
    assert "session numpy_on_mkl was not successful" in found.unavailable


def test_reasons_are_read_from_the_report_of_nox(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    sessions = [
        {"name": "environment-a", "result": "skipped", "reason": "no compiler"},
        {"name": "environment-b", "result": "failed", "reason": None},
    ]
    report.write_text(json.dumps({"result": 0, "sessions": sessions}))
    reasons = {"environment-a": "no compiler", "environment-b": ""}
    assert collect.read_reasons(report) == reasons
    assert collect.read_reasons(tmp_path / "none.json") == {}


def test_what_breaks_its_promise_is_built_again(nox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def identify(interpreter: Interpreter, *_: Any, **__: Any) -> InterpreterFacts:
        facts = known(fingerprint(*WHEELS), "measured")
        return InterpreterFacts(name="a", executable=interpreter.executable, fingerprint=facts)

    monkeypatch.setattr(collect, "identify", identify)
    monkeypatch.setattr(recipes, "THIS_PLATFORM", "linux-x86_64")
    (nox / "python").touch()
    kept = Recipe(name="a", promises={"numpy": "OpenBLAS"})
    kept.record(str(nox / "python"), {})
    assert collect.collect(kept, {}).executable == str(nox / "python")
    broken = Recipe(name="a", promises={"numpy": "MKL"}, obtain="nox -s environment-a")
    found = collect.collect(broken, {})
    assert found.executable == ""
    assert found.unavailable.startswith("promised is MKL, but")
    assert found.unavailable.endswith("; nox -s environment-a")
    assert broken.is_to_be_built()


# --- promises -----------------------------------------------------------------------------------


def library(name: str, path: str, *users: str, **more: Any) -> NativeLibrary:
    kind = LibraryKind.OPENMP if name.startswith("lib") else LibraryKind.BLAS
    version = unknown("not asked")
    return NativeLibrary(name=name, kind=kind, path=path, users=users, version=version, **more)


def fingerprint(*libraries: NativeLibrary, **running: Known[Running] | Unknown) -> Fingerprint:
    fields = dict.fromkeys(
        ("name", "executable", "version", "implementation", "build", "distribution"), "x"
    )
    return msgspec.convert(
        {
            **fields,
            "free_threaded": False,
            "packages": {"numpy": "2", "torch": "2"},
            "libraries": known(libraries, "files"),
            "running": running,
        },
        Fingerprint,
    )


def ran(module: str, *pools: tuple[str, str, str], mapped: tuple[str, ...] = ()) -> Known[Running]:
    rows = tuple(
        ThreadPool(name=name, prefix=name, path=path, version="", threads=2, layer=layer)
        for name, path, layer in pools
    )
    running = Running(
        module=module,
        version="2",
        configuration=unknown("not asked"),
        pools=known(rows, "threadpoolctl"),
        mapped=known(mapped, "maps"),
        described=unknown("not asked"),
        seconds=1.0,
    )
    return known(running, "it ran")


def broken(promised: dict[str, Any], found: Fingerprint) -> list[str]:
    return promises.find_broken(promised, known(found, "measured"))


WHEELS = (
    library("OpenBLAS", "/e/libscipy_openblas64_.so", "numpy", threading="pthreads"),
    library("MKL", "/e/libtorch_cpu.so", "torch", static=True),
    library("libgomp", "/e/libgomp.so.1", "torch"),
)


def test_kept_promises() -> None:
    promised = {"numpy": "OpenBLAS", "torch": "MKL (static)", "openmp": ["libgomp"]}
    assert broken(promised, fingerprint(*WHEELS)) == []


@pytest.mark.parametrize(
    ("promised", "complaint"),
    [
        ({"numpy": "MKL"}, "promised is MKL, but what it uses in numpy is OpenBLAS"),
        ({"torch": "OpenBLAS"}, "promised is OpenBLAS, but what it uses in torch is MKL"),
        ({"numpy": "OpenBLAS (openmp)"}, "promised is OpenBLAS (openmp), but"),
        ({"numpy": "OpenBLAS (static)"}, "promised is OpenBLAS (static), but"),
        ({"openmp": ["libgomp", "libiomp5"]}, "promised is libiomp5, but what it has is libgomp"),
    ],
)
def test_broken_promises(promised: dict[str, Any], complaint: str) -> None:
    (found,) = broken(promised, fingerprint(*WHEELS))
    assert found.startswith(complaint)


def test_a_module_that_is_not_there_breaks_its_promise() -> None:
    found = msgspec.structs.replace(fingerprint(*WHEELS), packages={})
    assert broken({"numpy": "OpenBLAS"}, found) == [
        "promised is OpenBLAS, but what it uses in numpy is none"
    ]


def test_running_tells_how_a_blas_makes_threads() -> None:
    blas = library("OpenBLAS", "/l/libblas.so.3", "numpy")
    numpy = ran("numpy", ("openblas", "/l/libblas.so.3", "openmp"))
    assert broken({"numpy": "OpenBLAS (openmp)"}, fingerprint(blas, numpy=numpy)) == []
    serial = ran("numpy", ("openblas", "/l/libblas.so.3", "disabled"))
    assert broken({"numpy": "OpenBLAS (serial)"}, fingerprint(blas, numpy=serial)) == []


def test_what_ran_is_believed_before_files() -> None:
    blas = library("OpenBLAS", "/usr/lib/libblas.so.3", "numpy")
    found = fingerprint(blas, numpy=ran("numpy", ("mkl", "/l/libmkl_rt.so.3", "intel")))
    assert broken({"numpy": "MKL"}, found) == []
    assert broken({"numpy": "OpenBLAS"}, found) != []


def test_the_blas_of_a_module_that_torch_imports_is_not_that_of_torch() -> None:
    pools = ("openblas", "/e/libscipy_openblas64_.so", "pthreads"), ("mkl", "/e/libmkl_rt.so", "")
    found = fingerprint(*WHEELS, torch=ran("torch", *pools))
    assert broken({"torch": "OpenBLAS"}, found) != []
    assert broken({"torch": "MKL (static)"}, found) == []


def test_runtimes_that_were_mapped_count() -> None:
    found = fingerprint(*WHEELS, numpy=ran("numpy", mapped=("/e/libiomp5.so",)))
    assert broken({"openmp": ["libiomp5", "libgomp"]}, found) == []


def test_what_is_unknown_breaks_nothing() -> None:
    """An import that hangs is what the matrix is for."""
    hung = fingerprint(numpy=unknown("it did not end"))
    found = msgspec.structs.replace(hung, libraries=unknown("not an ELF file"))
    promised = {"numpy": "MKL", "torch": "MKL", "openmp": ["libgomp"]}
    assert broken(promised, found) == []


def test_an_interpreter_that_does_not_answer_keeps_no_promise() -> None:
    found = promises.find_broken({"numpy": "MKL"}, unknown("does not answer within 10 s"))
    assert found == ["it does not answer within 10 s"]
