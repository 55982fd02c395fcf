"""A part of a model: the family's own base model with fewer blocks."""

import copy

import torch
from torch import nn
from transformers import PreTrainedModel


class Part(nn.Module):
    """Base of every bottom, trunk and top.

    Inside, the base model of the family does the work, with some of its blocks and without what
    belongs to the other parts. It builds masks, positions and rotary embeddings as it does in the
    uncut model, so none of what transformers uses for that, and changes, is needed here.
    """

    def __init__(
        self, model: PreTrainedModel, blocks: str, start: int, stop: int, **absent: nn.Module
    ) -> None:
        """Take over ``blocks[start:stop]`` and what is not absent; no weight is copied.

        Args:
            model: The uncut model.
            blocks: The name of the list of blocks in the base model.
            start: The index of the first block of this part.
            stop: One more than the index of its last.
            absent: For the children that belong to other parts, what stands in for them.
        """
        super().__init__()
        self.config = model.config
        uncut = model.base_model
        shared = dict(uncut.named_children())
        for name in shared.keys() - {blocks}:
            if not list(shared[name].parameters()):  # such as rotary embeddings
                # Each part needs its own, because the parts may live on different devices.
                del shared[name]
        instead = {**shared, **absent, blocks: Blocks(uncut.get_submodule(blocks), start, stop)}
        # What `deepcopy` is told it has copied already, it takes as it is.
        base = copy.deepcopy(uncut, {id(getattr(uncut, name)): instead[name] for name in instead})
        base.config.num_hidden_layers = stop - start
        if kinds := getattr(base.config, "layer_types", None):
            base.config.layer_types = kinds[start:stop]
        for name, child in base.named_children():
            if name not in absent:
                self.add_module(name, child)
        self._base = (base,)  # in a tuple, or torch would count all of its weights again

    @property
    def base(self) -> PreTrainedModel:
        """The base model that does the work."""
        return self._base[0]

    def run(self, **states: torch.Tensor | None) -> torch.Tensor:
        """Return what the base model computes, ``(batch, length, hidden)``."""
        return self.base(**states, use_cache=False)[0]


class Blocks(nn.ModuleList):
    """A list of blocks that have, as modules, the names they have in the uncut model.

    So the state dicts of the parts, put together, are the state dict of the whole.
    """

    def __init__(self, blocks: nn.ModuleList, start: int, stop: int) -> None:
        """Take ``blocks[start:stop]``."""
        super().__init__()
        for index in range(start, stop):
            self.add_module(str(index), blocks[index])

    def __getitem__(self, index: int | slice) -> nn.Module | list[nn.Module]:
        """Count from 0, as for any other list."""
        return list(self)[index]
