"""Which supervisor runs process trees on this system."""

from __future__ import annotations

import sys

from deadlock_matrix.run.process import Supervisor


def open_supervisor() -> Supervisor:
    """Return the implementation for this system."""
    if sys.platform == "linux":
        from deadlock_matrix.run.subreaper import SubreaperSupervisor

        return SubreaperSupervisor()
    from deadlock_matrix.run.portable import PortableSupervisor

    return PortableSupervisor()
