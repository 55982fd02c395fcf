"""Where the tool's own code under test is: the controls, and what studies run."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.errors import Unavailable

_PACKAGE = Path(__file__).resolve().parent.parent


def repro_root() -> Path:
    """Return the folder with ``scenarios``, and with what studies run.

    An installed package carries it as ``deadlock_matrix/repro``, with no scenarios but the
    controls; in a checkout it is beside ``src``.

    Raises:
        Unavailable: It is in neither place.
    """
    places = (_PACKAGE / "repro", _PACKAGE.parent.parent / "repro")
    for place in places:
        if (place / "scenarios").is_dir():
            return place
    raise Unavailable(
        "the scenarios are in neither "
        f"{places[0]} nor {places[1]}: reinstall deadlock-matrix from its wheel"
    )
