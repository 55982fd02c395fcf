"""Libraries that contact a server while they are imported, and the variables that stop them."""

from __future__ import annotations

from deadlock_matrix.diagnosis.investigation.clues import Wait
from deadlock_matrix.diagnosis.investigation.fitting import Setting
from deadlock_matrix.diagnosis.study.study import Study

_NETWORK = frozenset({Wait.NETWORK})
_VARIABLES = (
    ("HF_HUB_OFFLINE", "1", "huggingface_hub asks no server"),
    ("TRANSFORMERS_OFFLINE", "1", "transformers asks no server"),
    ("HF_DATASETS_OFFLINE", "1", "datasets asks no server"),
    ("WANDB_MODE", "offline", "wandb asks no server"),
    ("SCARF_NO_ANALYTICS", "true", "scarf reports no installation"),
    ("GRADIO_ANALYTICS_ENABLED", "False", "gradio asks for no news"),
    ("DO_NOT_TRACK", "1", "no telemetry"),
)

STUDY = Study(
    name="offline",
    summary="which variables keep a library from asking a server",
    settings=tuple(
        Setting(name=name, value=value, summary=summary, waits=_NETWORK)
        for name, value, summary in _VARIABLES
    ),
)
