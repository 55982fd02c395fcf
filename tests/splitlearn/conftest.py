"""Every layout of `splitlearn_core`, imported afresh, and the models it is asked to cut."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deadlock_matrix.matrix.layouts import assemble

REPRO = Path(__file__).parents[2] / "repro" / "splitlearn_core"
LAYOUTS = sorted(path.name for path in (REPRO / "layouts").iterdir() if path.is_dir())
FAMILIES = ("gpt2", "gemma", "qwen2")
BLOCKS = 4


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A directory written by `save_pretrained`, and the model that wrote it."""

    model_type: str
    directory: Path
    model: Any
    tied: bool


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: on a busy machine, OpenMP's spend more time waiting than working."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """The name of a layout that this interpreter can import."""
    if request.param == "pep810" and sys.version_info < (3, 15):
        pytest.skip("`lazy from ...` is syntax from Python 3.15 on")
    if request.param == "lazy-loader":
        pytest.importorskip("lazy_loader")
    return request.param


@pytest.fixture
def on_path(
    layout: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Make `import splitlearn_core` import this layout, none of its modules being there yet."""
    cache = tmp_path_factory.getbasetemp() / "layouts"
    monkeypatch.syspath_prepend(assemble([REPRO / "common", REPRO / "layouts" / layout], cache))
    _forget()
    yield
    _forget()


@pytest.fixture
def splitlearn(on_path: None) -> ModuleType:
    """The package, imported by the first of its entries."""
    return importlib.import_module("splitlearn_core")


@pytest.fixture(params=FAMILIES)
def model_type(request: pytest.FixtureRequest) -> str:
    """A model family."""
    return request.param


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def checkpoint(
    request: pytest.FixtureRequest, model_type: str, checkpoints: dict[str, Checkpoint]
) -> Checkpoint:
    """A saved model of the family, its head tied to its embedding or not."""
    return checkpoints[f"{model_type}-{request.param}"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """All saved models, written once; they owe nothing to the package under test."""
    import torch
    import transformers

    configs = {
        "gpt2": lambda tied: transformers.GPT2Config(
            n_embd=32, n_layer=BLOCKS, n_head=4, n_positions=32, **_shared(tied)
        ),
        "gemma": lambda tied: transformers.GemmaConfig(
            **_decoder(tied), num_key_value_heads=1, head_dim=16, pad_token_id=0
        ),
        "qwen2": lambda tied: transformers.Qwen2Config(**_decoder(tied), num_key_value_heads=2),
    }
    torch.manual_seed(0)
    found = {}
    for model_type, config in configs.items():
        for tied in (True, False):
            model = transformers.AutoModelForCausalLM.from_config(config(tied)).eval()
            with torch.no_grad():
                for parameter in model.parameters():  # no bias 0, no norm 1: a lost one shows
                    parameter.add_(torch.randn(parameter.shape), alpha=0.1)
            directory = tmp_path_factory.mktemp(f"{model_type}-{tied}")
            model.save_pretrained(directory)
            found[f"{model_type}-{tied}"] = Checkpoint(
                model_type=model_type, directory=directory, model=model, tied=tied
            )
    return found


def _shared(tied: bool) -> dict[str, Any]:
    return {
        "vocab_size": 96,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": tied,
    }


def _decoder(tied: bool) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        **_shared(tied),
    }


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "splitlearn_core"]:
        del sys.modules[name]
