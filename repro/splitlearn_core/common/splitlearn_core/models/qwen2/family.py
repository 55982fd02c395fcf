"""Qwen2, as the factory sees it."""

from transformers import Qwen2ForCausalLM

from ..family import Family
from .bottom import Qwen2BottomModel
from .top import Qwen2TopModel
from .trunk import Qwen2TrunkModel

FAMILY = Family(
    model_type="qwen2",
    model_class=Qwen2ForCausalLM,
    bottom_class=Qwen2BottomModel,
    trunk_class=Qwen2TrunkModel,
    top_class=Qwen2TopModel,
    tiny={
        "vocab_size": 1024,
        "max_position_embeddings": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
