"""Facts about the machine and the tool for a report. No host name, no user name."""

from __future__ import annotations

import os
import platform

from deadlock_matrix import __version__
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.report import Host, Tool


def describe_host() -> Host:
    """Return the machine this process runs on; ``cores`` are those that it may use."""
    return Host(
        system=platform.system(),
        release=platform.release(),
        machine=platform.machine(),
        cores=_cores(),
        memory_mib=_memory_mib(),
    )


def describe_tool() -> Tool:
    """Return this tool and the Python that runs it."""
    return Tool(name="deadlock-matrix", version=__version__, python=platform.python_version())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_mib() -> Known[int] | Unknown:
    if not hasattr(os, "sysconf"):
        return unknown("this system has no sysconf")
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError) as error:
        return unknown(f"sysconf: {error}")
    if size <= 0:
        return unknown("sysconf gives no number of pages")
    return known(size >> 20, "sysconf SC_PHYS_PAGES")
