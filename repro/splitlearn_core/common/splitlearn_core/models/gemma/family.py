"""Gemma, as the factory sees it."""

from transformers import GemmaForCausalLM

from ..family import Family
from .bottom import GemmaBottomModel
from .top import GemmaTopModel
from .trunk import GemmaTrunkModel

FAMILY = Family(
    model_type="gemma",
    model_class=GemmaForCausalLM,
    bottom_class=GemmaBottomModel,
    trunk_class=GemmaTrunkModel,
    top_class=GemmaTopModel,
    tiny={
        "vocab_size": 1024,
        "max_position_embeddings": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
