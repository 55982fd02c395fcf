"""GPT-2, as the factory sees it."""

from transformers import GPT2LMHeadModel

from ..family import Family
from .bottom import GPT2BottomModel
from .top import GPT2TopModel
from .trunk import GPT2TrunkModel

FAMILY = Family(
    model_type="gpt2",
    model_class=GPT2LMHeadModel,
    bottom_class=GPT2BottomModel,
    trunk_class=GPT2TrunkModel,
    top_class=GPT2TopModel,
    tiny={
        "vocab_size": 1024,
        "n_positions": 128,
        "n_embd": 64,
        "n_layer": 12,
        "n_head": 4,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
