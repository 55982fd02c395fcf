"""The built-in model: the same every time, and large enough to reach OpenMP."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

# Below this many elements torch runs an elementwise operation on the calling thread alone
# (at::internal::GRAIN_SIZE).
GRAIN_SIZE = 32_768


def test_weights_do_not_change(splitlearn: ModuleType, model_type: str) -> None:
    create = splitlearn.ModelFactory.create_split_models
    torch.manual_seed(1)
    first = create(model_type, "tiny-random", 2, 10)
    torch.manual_seed(2)
    second = create(model_type, "tiny-random", 2, 10)
    for one, other in zip(first, second, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_the_callers_generator_is_left_alone(splitlearn: ModuleType, model_type: str) -> None:
    before = torch.get_rng_state()
    splitlearn.ModelFactory.create_split_models(model_type, "tiny-random", 2, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_one_tensor_is_worth_several_threads(splitlearn: ModuleType, model_type: str) -> None:
    bottom, _, _ = splitlearn.ModelFactory.create_split_models(model_type, "tiny-random", 2, 10)
    assert max(weight.numel() for weight in bottom.parameters()) > GRAIN_SIZE


def test_a_directory_of_that_name_can_be_reached(
    splitlearn: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny-random").mkdir()
    create = splitlearn.ModelFactory.create_split_models
    assert len(create("gpt2", "tiny-random", 2, 10)) == 3
    for directory in ("./tiny-random", Path("tiny-random")):
        with pytest.raises(FileNotFoundError):
            create("gpt2", directory, 2, 10)
