"""A request that cannot be served ends in one error: what was given, and what is allowed."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkpoint

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def error(name: str) -> type[Exception]:
    return getattr(importlib.import_module("splitlearn_core.errors"), name)


@pytest.mark.parametrize("given", ["llama", "GPT2", None])
def test_unknown_model_type(splitlearn: ModuleType, given: str) -> None:
    with pytest.raises(ValueError, match="'gpt2', 'gemma', 'qwen2'") as caught:
        splitlearn.ModelFactory.create_split_models(given, "tiny-random", 2, 10)
    assert caught.type is error("UnknownModelTypeError")
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize(("first", "second"), [(-1, 3), (3, 3), (3, 2), (0, 13)])
def test_split_points_outside_the_model(splitlearn: ModuleType, first: int, second: int) -> None:
    with pytest.raises(ValueError, match="0 <= split_point_1 < split_point_2 <= ") as caught:
        splitlearn.ModelFactory.create_split_models("gpt2", "tiny-random", first, second)
    assert caught.type is error("SplitPointError")
    assert f"split_point_1={first}, split_point_2={second}" in str(caught.value)
    assert second <= 12 or "12 (number of blocks)" in str(caught.value)


@pytest.mark.parametrize(("first", "second"), [("1", 2), (1, 2.0), (None, 2), (True, 2)])
def test_split_points_that_are_no_numbers(
    splitlearn: ModuleType, first: object, second: object
) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        splitlearn.ModelFactory.create_split_models("gpt2", "tiny-random", first, second)


def test_missing_directory(
    splitlearn: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    # All of them are told from hub names without asking the hub.
    for given in [str(tmp_path / "nowhere"), "./nowhere", "a/b/c", "", "file", Path("nowhere")]:
        with pytest.raises(FileNotFoundError, match="save_pretrained") as caught:
            splitlearn.ModelFactory.create_split_models("gpt2", given, 1, 2)
        assert caught.type is error("ModelNotFoundError")
        assert repr(str(given) if given else "") in str(caught.value)


@pytest.mark.parametrize("content", [None, "{"], ids=["nothing", "no-json"])
def test_directory_without_model(
    splitlearn: ModuleType, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(FileNotFoundError, match="holds no complete model") as caught:
        splitlearn.ModelFactory.create_split_models("gpt2", tmp_path, 1, 2)
    assert caught.type is error("ModelNotFoundError")


def test_directory_without_weights(
    splitlearn: ModuleType, tmp_path: Path, checkpoints: dict[str, Checkpoint]
) -> None:
    shutil.copy(checkpoints["gpt2-True"].directory / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no complete model"):
        splitlearn.ModelFactory.create_split_models("gpt2", tmp_path, 1, 2)


def test_directory_lacking_one_weight(
    splitlearn: ModuleType, tmp_path: Path, checkpoints: dict[str, Checkpoint]
) -> None:
    """Transformers would draw a random one and go on."""
    saved = checkpoints["gpt2-True"]
    weights = saved.model.state_dict()
    del weights["transformer.h.3.ln_1.bias"]
    saved.model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match=r"transformer\.h\.3\.ln_1\.bias") as caught:
        splitlearn.ModelFactory.create_split_models("gpt2", tmp_path, 1, 2)
    assert caught.type is error("IncompleteModelError")


def test_directory_of_another_family(
    splitlearn: ModuleType, checkpoints: dict[str, Checkpoint]
) -> None:
    directory = checkpoints["gemma-True"].directory
    with pytest.raises(ValueError, match="'gemma'") as caught:
        splitlearn.ModelFactory.create_split_models("qwen2", directory, 1, 2)
    assert caught.type is error("FamilyMismatchError")
    assert str(directory) in str(caught.value)
    assert "'qwen2'" in str(caught.value)
