"""Which files contain a text: who can have printed a line."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

from deadlock_matrix.model.fact import Known, Unknown, known, unknown


def find_text(paths: Iterable[str], text: bytes) -> Known[tuple[str, ...]] | Unknown:
    """Return those of ``paths`` that contain ``text``, sorted; unknown if one is unreadable.

    Large files are mapped, not read: a search costs no memory of its own.
    """
    looked_at = sorted(set(paths))
    found = []
    for path in looked_at:
        try:
            with (
                Path(path).open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                if content.find(text) >= 0:
                    found.append(path)
        except (OSError, ValueError) as error:  # ValueError: it is empty, or not a file
            return unknown(f"{path} cannot be searched: {error}")
    return known(tuple(found), f"the bytes of {len(looked_at)} libraries, searched for {text!r}")
