"""The parts, chained, compute what the uncut model computes."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Checkpoint

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
# Embeddings alone, blocks on all sides, head alone.
SPLIT_POINTS = [(0, 1), (1, 3), (2, 4)]


def chain(parts: tuple[Any, Any, Any], input_ids: Any, attention_mask: Any = None) -> Any:
    bottom, trunk, top = parts
    with torch.no_grad():
        hidden_states = trunk(bottom(input_ids, attention_mask), attention_mask)
        return top(hidden_states, attention_mask)


def uncut(model: Any, input_ids: Any, attention_mask: Any = None) -> Any:
    with torch.no_grad():
        return model(input_ids=input_ids, attention_mask=attention_mask).logits


@pytest.fixture
def input_ids() -> Any:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, 96, (2, 12), generator=generator)


@pytest.fixture
def attention_masks(input_ids: Any) -> list[Any]:
    """One that hides nothing, and one for padding on each side of the second text."""
    full, right, left = (torch.ones_like(input_ids) for _ in range(3))
    right[1, 8:] = 0
    left[1, :4] = 0
    return [full, right, left]


def test_saved_models(splitlearn: ModuleType, checkpoint: Checkpoint, input_ids: Any) -> None:
    expected = uncut(checkpoint.model, input_ids)
    assert expected.dtype is torch.float32
    for first, second in SPLIT_POINTS:
        parts = splitlearn.ModelFactory.create_split_models(
            checkpoint.model_type, str(checkpoint.directory), first, second
        )
        difference = chain(parts, input_ids) - expected
        assert difference.abs().max() <= TOLERANCE, (first, second)


def test_padding(
    splitlearn: ModuleType, checkpoint: Checkpoint, input_ids: Any, attention_masks: list[Any]
) -> None:
    parts = splitlearn.ModelFactory.create_split_models(
        checkpoint.model_type, checkpoint.directory, 1, 3
    )
    for mask in attention_masks:
        difference = chain(parts, input_ids, mask) - uncut(checkpoint.model, input_ids, mask)
        assert difference.abs().max() <= TOLERANCE, mask


def test_half_precision(
    splitlearn: ModuleType, checkpoint: Checkpoint, input_ids: Any, attention_masks: list[Any]
) -> None:
    """Where every step is rounded to 8 bits, one step more or less would show."""
    bottom, trunk, top = splitlearn.ModelFactory.create_split_models(
        checkpoint.model_type, checkpoint.directory, 1, 3
    )
    parts = bottom.bfloat16(), trunk.bfloat16(), top.bfloat16()
    model = copy.deepcopy(checkpoint.model).bfloat16()
    for mask in attention_masks:
        logits = chain(parts, input_ids, mask)
        assert logits.dtype is torch.bfloat16
        difference = logits - uncut(model, input_ids, mask)
        assert difference.abs().max() <= TOLERANCE, mask


def test_parts_that_were_sent_away(
    splitlearn: ModuleType, checkpoint: Checkpoint, input_ids: Any
) -> None:
    """A part that went through pickle, as to another machine, computes the same."""
    parts = splitlearn.ModelFactory.create_split_models(
        checkpoint.model_type, checkpoint.directory, 1, 3
    )
    received = tuple(pickle.loads(pickle.dumps(part)) for part in parts)
    for part, copied in zip(parts, received, strict=True):
        with torch.no_grad():
            for weight in part.parameters():
                weight.zero_()
        assert any(weight.any() for weight in copied.parameters())
    difference = chain(received, input_ids) - uncut(checkpoint.model, input_ids)
    assert difference.abs().max() <= TOLERANCE


def test_the_built_in_model(splitlearn: ModuleType, model_type: str, input_ids: Any) -> None:
    """All cuts of it agree, since its weights are the same every time."""
    create = splitlearn.ModelFactory.create_split_models
    expected = chain(create(model_type, "tiny-random", 0, 12), input_ids)
    for first, second in [(2, 10), (11, 12)]:
        parts = create(model_type, "tiny-random", first, second)
        difference = chain(parts, input_ids) - expected
        assert difference.abs().max() <= TOLERANCE, (first, second)


def test_sliding_windows(splitlearn: ModuleType, tmp_path: Any, input_ids: Any) -> None:
    """Blocks keep the kind of attention they have at their place in the uncut model."""
    config = transformers.Qwen2Config(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=3,
        max_window_layers=2,
    )
    if not hasattr(config, "layer_types"):
        pytest.skip("this transformers has no kinds of layers")
    assert len(set(config.layer_types)) == 2
    model = transformers.Qwen2ForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    parts = splitlearn.ModelFactory.create_split_models("qwen2", tmp_path, 1, 3)
    difference = chain(parts, input_ids) - uncut(model, input_ids)
    assert difference.abs().max() <= TOLERANCE
