"""The attention masks a model's own ``forward`` would build, which the cut leaves to the parts."""

import inspect
from collections.abc import Callable

import torch
from transformers import PretrainedConfig

try:
    from transformers import masking_utils
except ImportError:  # transformers before 4.53
    masking_utils = None


class CausalMasks:
    """The mask of every block for one forward pass, each kind built once, when first asked for."""

    def __init__(
        self,
        config: PretrainedConfig,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> None:
        """Remember the pass: ``(batch, length, hidden)`` and ``(batch, length)`` or ``None``."""
        self._config = config
        self._hidden_states = hidden_states
        self._attention_mask = attention_mask
        self._built: dict[str, torch.Tensor | None] = {}

    def of_block(self, index: int) -> torch.Tensor | None:
        """Return the mask of the block that stands at ``index`` in the uncut model.

        ``None`` is an answer too: the attention kernel then applies plain causality itself.
        """
        kinds = getattr(self._config, "layer_types", None)
        kind = kinds[index] if kinds and masking_utils else "full_attention"
        if kind not in self._built:
            self._built[kind] = self._build(kind)
        return self._built[kind]

    def _build(self, kind: str) -> torch.Tensor | None:
        if masking_utils is None:
            return _additive_mask(self._hidden_states, self._attention_mask)
        builder = {
            "full_attention": masking_utils.create_causal_mask,
            "sliding_attention": masking_utils.create_sliding_window_causal_mask,
        }[kind]
        return _call_with_accepted(
            builder,
            config=self._config,
            inputs_embeds=self._hidden_states,
            input_embeds=self._hidden_states,  # its name until transformers 5
            attention_mask=self._attention_mask,
            cache_position=positions_of(self._hidden_states)[0],  # dropped in transformers 5
            past_key_values=None,
            position_ids=positions_of(self._hidden_states),
        )


def positions_of(states: torch.Tensor) -> torch.Tensor:
    """Return ``[[0, 1, ..., length - 1]]`` for ``(batch, length, ...)``, as the models do.

    Padding does not shift positions: without explicit ``position_ids`` the models ignore it.
    """
    return torch.arange(states.shape[1], device=states.device).unsqueeze(0)


def _call_with_accepted(
    builder: Callable[..., torch.Tensor | None], **offered: object
) -> torch.Tensor | None:
    accepted = inspect.signature(builder).parameters
    return builder(**{name: value for name, value in offered.items() if name in accepted})


def _additive_mask(
    hidden_states: torch.Tensor, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """Return ``(batch, 1, length, length)``: 0 where a query may look, the lowest float elsewhere.

    Old releases build their masks inside private methods, each family in its own way. This one
    gives the same result wherever a query sees at least one position; the queries of left padding
    see none, and their logits, which mean nothing, may differ from the uncut model's.
    """
    batch, length, _ = hidden_states.shape
    allowed = torch.ones(length, length, dtype=torch.bool, device=hidden_states.device).tril()
    allowed = allowed.expand(batch, 1, length, length)
    if attention_mask is not None:
        allowed = allowed & attention_mask.bool()[:, None, None, :]
    mask = torch.zeros(allowed.shape, dtype=hidden_states.dtype, device=hidden_states.device)
    return mask.masked_fill(~allowed, torch.finfo(hidden_states.dtype).min)
