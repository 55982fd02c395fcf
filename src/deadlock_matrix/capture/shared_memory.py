"""Which processes run on the same memory: parent and child of a vfork, ``clone(CLONE_VM)``.

Source: kcmp(2), which needs CONFIG_KCMP and the right to look into both processes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterable

from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_NUMBERS = {"x86_64": 312, "aarch64": 272}  # of kcmp, by the observer's architecture
_KCMP_VM = 1


def shares_memory_with(pid: int, others: Iterable[int]) -> Known[tuple[int, ...]] | Unknown:
    """Those of ``others`` that run on the memory of ``pid``.

    A process that is not ours to look into is taken not to: it could only share the memory if it
    had changed its user after a ``clone(CLONE_VM)``.

    Args:
        pid: the process.
        others: ids to compare it with; a pair costs about two microseconds.
    """
    number = _NUMBERS.get(platform.machine())
    if number is None:
        return unknown(f"the number of kcmp is not known on {platform.machine()}")
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long] * 6
    # Against itself first: tells "no such call" and "not allowed" from the others' answers.
    if function(number, pid, pid, _KCMP_VM, 0, 0) != 0:
        return unknown(f"kcmp: {os.strerror(ctypes.get_errno())}")
    shared: list[int] = []
    for other in others:
        if other == pid:
            continue
        answer = function(number, pid, other, _KCMP_VM, 0, 0)
        if answer == 0:
            shared.append(other)
        elif answer < 0 and ctypes.get_errno() not in (errno.ESRCH, errno.EPERM):
            return unknown(f"kcmp with process {other}: {os.strerror(ctypes.get_errno())}")
    return known(tuple(shared), "kcmp")
