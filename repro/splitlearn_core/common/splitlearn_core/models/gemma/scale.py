"""What Gemma multiplies embeddings by, which only the bottom may do."""

from transformers import GemmaForCausalLM

from ..part import Part


def take_unscaled(part: Part, model: GemmaForCausalLM) -> None:
    """Make a part of ``model`` that is given hidden states take them as they are.

    In recent releases the token embedding multiplies, by its ``embed_scale``, and these parts have
    none. In older ones the base model multiplies whatever it is given by the root of the width
    that stands in its configuration.
    """
    if not hasattr(model.get_input_embeddings(), "embed_scale"):
        part.base.config.hidden_size = 1
