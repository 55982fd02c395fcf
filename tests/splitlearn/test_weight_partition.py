"""Every weight of the uncut model is in exactly one part; tied ones are one tensor in two."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Checkpoint

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SPLIT_POINTS = [(0, 1), (1, 3)]


@pytest.mark.parametrize(("first", "second"), SPLIT_POINTS)
def test_every_weight_has_one_place(
    splitlearn: ModuleType, checkpoint: Checkpoint, first: int, second: int
) -> None:
    parts = splitlearn.ModelFactory.create_split_models(
        checkpoint.model_type, checkpoint.directory, first, second
    )
    check_state_dicts(parts, checkpoint)
    check_parameters(parts, checkpoint)


def check_state_dicts(parts: tuple[Any, Any, Any], checkpoint: Checkpoint) -> None:
    """Together they are that of the uncut model."""
    prefix = f"{checkpoint.model.base_model_prefix}."
    whole = {
        name.removeprefix(prefix): value for name, value in checkpoint.model.state_dict().items()
    }
    states = [part.state_dict() for part in parts]
    names = [name for state in states for name in state]
    assert sorted(names) == sorted(whole)  # as lists: no name twice, none missing, none extra
    for state in states:
        for name, value in state.items():
            assert torch.equal(value, whole[name]), name


def check_parameters(parts: tuple[Any, Any, Any], checkpoint: Checkpoint) -> None:
    """None is in two parts, except the embedding that is the head as well."""
    bottom, trunk, top = ({id(weight) for weight in part.parameters()} for part in parts)
    assert not trunk & (bottom | top)
    assert len(bottom | trunk | top) == len(list(checkpoint.model.parameters()))
    embedding = parts[0].wte if checkpoint.model_type == "gpt2" else parts[0].embed_tokens
    assert bottom & top == ({id(embedding.weight)} if checkpoint.tied else set())
    assert (parts[2].lm_head.weight is embedding.weight) is checkpoint.tied


def test_parts_are_ready_to_infer(splitlearn: ModuleType, model_type: str) -> None:
    parts = splitlearn.ModelFactory.create_split_models(model_type, "tiny-random", 2, 10)
    assert not any(module.training for part in parts for module in part.modules())
