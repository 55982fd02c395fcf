"""Descriptors on their way through a process's Unix sockets: sent (SCM_RIGHTS), not yet received.

Source: the line ``scm_fds:`` in the ``fdinfo`` of such a socket (since Linux 5.6) says how many
wait in its receive queue. Only since 6.3 does a listening socket count those of connections that
are not accepted yet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from deadlock_matrix.capture.proc_files import is_gone, read_small, read_whole, reason_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor

LISTENERS_COUNT_SINCE = (6, 3)
_LINE = re.compile(rb"^scm_fds:\s*(\d+)$", re.MULTILINE)
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix


def descriptors_in_flight(
    pid: int, directory: int, descriptors: Known[tuple[Descriptor, ...]] | Unknown
) -> Known[int] | Unknown:
    """Return how many wait in the process's sockets, each socket counted once.

    Args:
        pid: The process, for the sources.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.
        descriptors: What it has open.
    """
    if isinstance(descriptors, Unknown):
        return unknown(descriptors.reason)
    sockets = {d.target: d.number for d in descriptors.value if d.target.startswith("socket:[")}
    total = 0
    found = False
    hides: Callable[[str], bool] | None = None
    for target, number in sockets.items():
        where = f"/proc/{pid}/fdinfo/{number}"
        try:
            line = _LINE.search(read_small(f"fdinfo/{number}", directory))
            if line is not None:
                total += int(line[1])
                found = True
            elif _is_unix(number, directory):
                return unknown(f"{where} does not show what waits in a Unix socket")
            if line is not None and hides is None:
                hides = _may_hide_some(directory)
            if line is not None and hides is not None and hides(target):
                return unknown(f"{target} may hide what waits in connections not yet accepted")
        except OSError as error:
            if is_gone(error):
                return unknown(f"descriptor {number} was closed while it was read")
            return unknown(reason_of(error, where))
    return known(total, f"/proc/{pid}/fdinfo" if found else "it has no Unix socket")


def may_carry(number: int, directory: int) -> bool:
    """Return whether descriptors wait in this socket of another process, or that is unknown.

    Args:
        number: The descriptor, a socket.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.

    Raises:
        OSError: It cannot be read, or is gone.
    """
    line = _LINE.search(read_small(f"fdinfo/{number}", directory))
    return _is_unix(number, directory) if line is None else int(line[1]) > 0


def _is_unix(number: int, directory: int) -> bool:
    """Ask the socket for its protocol.

    Raises:
        OSError: It does not say.
    """
    path = f"/proc/self/fd/{directory}/fd/{number}"
    return os.getxattr(path, "system.sockprotoname").startswith(b"UNIX")


def _may_hide_some(directory: int) -> Callable[[str], bool]:
    """Return which sockets listen, or may, on a kernel that does not count for listeners."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is not None and (int(release[1]), int(release[2])) >= LISTENERS_COUNT_SINCE:
        return lambda target: False
    lines = [line.split() for line in read_whole("net/unix", directory).splitlines()[1:]]
    quiet = {
        b"socket:[%s]" % fields[6]
        for fields in lines
        if len(fields) > 6 and not int(fields[3], 16) & _ACCEPTS
    }
    return lambda target: target.encode() not in quiet  # or in another network namespace
