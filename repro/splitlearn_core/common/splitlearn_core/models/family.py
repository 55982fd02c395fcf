"""A model family: where its models come from, and into which classes they are cut."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from ..arguments import MODEL_TYPES, check_split_points
from ..errors import FamilyMismatchError, IncompleteModelError, ModelNotFoundError

#: The name of the built-in configuration. A directory of that name is reached as ./tiny-random.
TINY_RANDOM = "tiny-random"
_TINY_SEED = 20_240_229
_ALLOWED = (
    f"allowed: {TINY_RANDOM!r}, a directory written by save_pretrained, or a hub name (owner/name)"
)
# "owner/name", or "name" alone for the oldest models. Whatever else is given is a path.
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the factory needs to know about one family."""

    model_type: str
    """The name of the family, as in a checkpoint's ``config.json``."""
    model_class: type[PreTrainedModel]
    """The uncut model with its language modelling head."""
    bottom_class: type[nn.Module]
    """Called with the uncut model and the first split point."""
    trunk_class: type[nn.Module]
    """Called with the uncut model and both split points."""
    top_class: type[nn.Module]
    """Called with the uncut model and the second split point."""
    tiny: Mapping[str, int | bool]
    """The built-in configuration, as arguments of the configuration class."""

    def split(
        self,
        model_name_or_path: str | os.PathLike[str],
        split_point_1: int,
        split_point_2: int,
        device: str | torch.device,
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Load a model and cut it; see `SplitFactory.create_split_models`.

        The parts take over the modules of the loaded model: no weight is copied.
        """
        name = _check_name(model_name_or_path)
        config = self.read_config(name)
        # Before the weights are read, which can take minutes and many gigabytes.
        check_split_points(split_point_1, split_point_2, config.num_hidden_layers)
        model = self.load(name, config)
        return (
            self.bottom_class(model, split_point_1).to(device).eval(),
            self.trunk_class(model, split_point_1, split_point_2).to(device).eval(),
            self.top_class(model, split_point_2).to(device).eval(),
        )

    def read_config(self, name: str) -> PretrainedConfig:
        """Return the configuration that stands under ``name``, checked to be of this family."""
        config_class = self.model_class.config_class
        if name == TINY_RANDOM:
            return config_class(**self.tiny)
        try:
            values, _ = config_class.get_config_dict(name)
        except OSError as error:
            raise _not_found(name) from error
        if not values:  # what transformers 5 returns for a directory without config.json
            raise _not_found(name)
        found = values.get("model_type")
        if found != self.model_type:
            supported = ", ".join(map(repr, MODEL_TYPES))
            raise FamilyMismatchError(
                f"{name!r} holds a model of type {found!r}, but model_type is "
                f"{self.model_type!r}; allowed: a {self.model_type!r} model, or as model_type "
                f"what {name!r} holds where that is one of {supported}"
            )
        return config_class.from_dict(values)

    def load(self, name: str, config: PretrainedConfig) -> PreTrainedModel:
        """Return the uncut model that stands under ``name``, on the CPU."""
        if name == TINY_RANDOM:
            return _draw(self.model_class, config)
        try:
            model, report = self.model_class.from_pretrained(
                name,
                config=config,
                local_files_only=os.path.isdir(name),  # a directory never sends anyone to the hub
                output_loading_info=True,
            )
        except OSError as error:
            raise _not_found(name) from error
        if missing := sorted(report["missing_keys"]):
            raise IncompleteModelError(
                f"{name!r} lacks {len(missing)} of the weights of a {self.model_type!r} model, "
                f"such as {missing[0]!r}; all of them are needed"
            )
        return model


def _check_name(model_name_or_path: str | os.PathLike[str]) -> str:
    if model_name_or_path == TINY_RANDOM:
        return TINY_RANDOM
    name = os.fspath(model_name_or_path)
    if os.path.isdir(name):
        return os.path.abspath(name)  # so that Path("tiny-random") stays a directory
    # A path object never means the hub, and neither does the path of a file.
    is_text = isinstance(model_name_or_path, str)
    if is_text and _HUB_NAME.fullmatch(name) and not os.path.exists(name):
        return name
    raise ModelNotFoundError(f"model_name_or_path {name!r} is not a directory; {_ALLOWED}")


def _not_found(name: str) -> ModelNotFoundError:
    if os.path.isdir(name):
        return ModelNotFoundError(f"directory {name!r} holds no complete model; {_ALLOWED}")
    return ModelNotFoundError(
        f"{name!r} is no directory, and the hub gave no model of that name; {_ALLOWED}"
    )


def _draw(model_class: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    """Return a model with the same random weights every time, the caller's generator untouched.

    Noise goes on top of the usual initialisation, in which biases are 0 and norms are 1: a part
    that lost one of them would go unnoticed. The additions run over whole tensors, the embedding
    beyond the size from which torch splits such work among threads, so that building this model
    touches the OpenMP runtime as building a large one does.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(_TINY_SEED)
        model = model_class(config)
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.05)
    return model
