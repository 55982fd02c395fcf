"""What a layout imports, when, and in which order: the only thing layouts differ in."""

from __future__ import annotations

import builtins
import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

FAMILIES = {"gpt2", "gemma", "qwen2"}
ENTRIES = [
    "import splitlearn_core",
    "from splitlearn_core import ModelFactory",
    "from splitlearn_core.factory import ModelFactory",
]
AFTER_IMPORT = {"eager": FAMILIES}  # elsewhere: none
AFTER_ASKING_FOR_ONE = {"eager": FAMILIES, "lazy-as-written": FAMILIES}  # elsewhere: the one
CHAIN = [
    f"splitlearn_core.models.{family}.{part}"
    for family in ("gpt2", "gemma", "qwen2")
    for part in ("bottom", "trunk", "top")
]


def imported_families() -> set[str]:
    return {family for family in FAMILIES if f"splitlearn_core.models.{family}" in sys.modules}


@pytest.fixture
def importers_of_torch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules of the package that execute `import torch`, in order.

    They are seen although torch has long been imported: the statement calls `__import__` anyway.
    """
    importers: list[str] = []
    real = builtins.__import__

    def record(name: str, globals: Any = None, *arguments: Any, **options: Any) -> ModuleType:
        importer = (globals or {}).get("__name__", "")
        if name == "torch" and importer.startswith("splitlearn_core"):
            importers.append(importer)
        return real(name, globals, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", record)
    return importers


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_finds_the_factory(on_path: None, entry: str) -> None:
    namespace: dict[str, Any] = {}
    exec(entry, namespace)
    package = sys.modules["splitlearn_core"]
    factory = namespace.get("ModelFactory") or package.ModelFactory
    assert factory is package.ModelFactory
    assert factory is importlib.import_module("splitlearn_core.factory").ModelFactory
    assert callable(factory.create_split_models)


@pytest.mark.parametrize("entry", ENTRIES)
def test_families_imported_by_an_entry(
    on_path: None, layout: str, entry: str, importers_of_torch: list[str]
) -> None:
    exec(entry, {})
    assert imported_families() == AFTER_IMPORT.get(layout, set())
    assert bool(importers_of_torch) is (layout == "eager")


def test_families_imported_by_asking_for_one(
    splitlearn: ModuleType, layout: str, model_type: str
) -> None:
    splitlearn.ModelFactory.create_split_models(model_type, "tiny-random", 2, 10)
    assert imported_families() == AFTER_ASKING_FOR_ONE.get(layout, {model_type})


def test_a_refused_request_imports_nothing(splitlearn: ModuleType, layout: str) -> None:
    with pytest.raises(ValueError, match="model_type"):
        splitlearn.ModelFactory.create_split_models("llama", "tiny-random", 2, 10)
    assert imported_families() == AFTER_IMPORT.get(layout, set())


@pytest.mark.parametrize("layout", ["eager"], indirect=True)
def test_the_eager_chain(on_path: None, importers_of_torch: list[str]) -> None:
    import splitlearn_core  # noqa: F401

    assert importers_of_torch[0] == CHAIN[0]
    assert [name for name in dict.fromkeys(importers_of_torch) if name in CHAIN] == CHAIN


def test_public_names(splitlearn: ModuleType) -> None:
    assert "ModelFactory" in splitlearn.__all__
    assert set(splitlearn.__all__) <= set(dir(splitlearn))
    with pytest.raises(AttributeError, match="NoSuchName"):
        splitlearn.NoSuchName  # noqa: B018
