"""How many cells can run side by side on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MEMORY_PER_CELL_MIB = 700  # an interpreter with large packages loaded


def jobs(memory_per_cell_mib: int) -> int:
    """Return how many cells processors and memory allow, at least one.

    Args:
        memory_per_cell_mib: What one cell needs at its peak, in MiB.
    """
    return max(1, min(cores(), available_memory_mib() // max(memory_per_cell_mib, 1)))


def cores() -> int:
    """Return how many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory_mib() -> int:
    """Return how much memory is free without swapping, within the container's limit, in MiB."""
    available = psutil.virtual_memory().available
    limit = _control_group_limit()
    return int(min(available, limit) if limit else available) >> 20


def _control_group_limit() -> int:
    """Return the limit of this process's own control group (version 2), or 0 if it has none."""
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip()
        text = Path(f"/sys/fs/cgroup{group}/memory.max").read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
