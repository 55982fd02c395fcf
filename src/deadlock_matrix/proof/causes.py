"""Hangs that cannot be proved but leave a trace of their own in what they print."""

from __future__ import annotations

import re

LOCK_BLOCKING = re.compile(r"mutex\.cc\s*:\s*(\d+)\] RAW: Lock blocking (0x[0-9a-fA-F]+)")

ABSEIL_RELEASES = {
    463: "LTS 20230125",
    452: "LTS 20230802",
    451: "LTS 20240116 to 20260526",
    459: "LTS 20260817",
}
"""Which releases of Abseil print that line from which line of ``mutex.cc``."""


def recognise(stderr: str) -> str:
    """The cause that the output of a hung process names, or nothing."""
    match = LOCK_BLOCKING.search(stderr)
    if match is None:
        return ""
    line, address = int(match[1]), match[2]
    release = ABSEIL_RELEASES.get(line, "of a release not known here")
    return (
        f"Abseil ({release}, mutex.cc line {line}) said that it blocks on the mutex {address}; "
        "if it spins there for ever, two copies of a library probably share one object and "
        "disagree about the type of its mutex (protobuf before and from 22 on, in two packages)"
    )
