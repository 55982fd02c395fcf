"""May this process be looked at? If not: one sentence that says why and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from deadlock_matrix.capture.foreign import Stuck
from deadlock_matrix.capture.machine import header_of
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, read_small
from deadlock_matrix.capture.proc_text import KERNEL_THREAD_FLAG, parse_stat
from deadlock_matrix.errors import CaptureError

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_CAP_SYS_PTRACE = 1 << 19
_CAP_DAC = 1 << 1 | 1 << 2  # DAC_OVERRIDE, DAC_READ_SEARCH: either opens other users' files


def check_access(pid: int) -> None:
    """Try what a capture needs: the system calls and the memory of a 64-bit user process.

    Raises:
        CaptureError: The process cannot be looked at; the message says what to do.
    """
    try:
        stat = parse_stat(read_small(f"/proc/{pid}/stat"))
        leader = int(_status_field(pid, b"Tgid") or b"0")
    except FileNotFoundError:
        if not Path("/proc/self/stat").exists():
            raise CaptureError(
                "/proc is not mounted here; mount it, since processes are read through it."
            ) from None
        raise CaptureError(_absent(pid)) from None
    except OSError as error:
        raise explain(pid, error) from None
    if leader not in (0, pid):
        raise CaptureError(f"{pid} is a thread of process {leader}; give {leader} instead.")
    if stat.flags & KERNEL_THREAD_FLAG:
        raise CaptureError(f"{pid} is a thread of the kernel; only user programs can be inspected.")
    if stat.state in "ZX" and stat.thread_count <= 1:
        raise CaptureError(
            f"process {pid} has already ended and is a zombie until its parent {stat.parent} waits "
            "for it; inspect the parent instead."
        )
    try:
        task = f"/proc/{pid}/task/{_running_thread(pid, stat.state)}"
        read_small(f"{task}/syscall")
        with Path(f"{task}/mem").open("rb", buffering=0):
            pass
    except OSError as error:
        raise explain(pid, error) from None
    if header_of(pid)[1] == 32:
        raise CaptureError(
            f"process {pid} is a 32-bit program; only 64-bit ones (x86_64, aarch64) are"
            " supported: run the 64-bit build of it."
        )


def _running_thread(pid: int, state: str) -> int:
    """Return the leader or, if that has ended (``pthread_exit``), a thread that has not."""
    if state in "ZX":
        for tid in numbers_in(f"/proc/{pid}/task"):
            try:
                if parse_stat(read_small(f"/proc/{pid}/task/{tid}/stat")).state not in "ZX":
                    return tid
            except OSError as error:
                if not is_gone(error):
                    raise
    return pid


def explain(pid: int, error: OSError) -> CaptureError:
    """Return the sentence for an error that came up while a process was being read."""
    if is_gone(error):
        if Path(f"/proc/{pid}").exists() and not Path(f"/proc/{pid}/syscall").exists():
            return CaptureError(
                "this kernel does not tell what a thread is doing (no /proc/PID/syscall);"
                " use one built with CONFIG_HAVE_ARCH_TRACEHOOK, not an emulation such as gVisor."
            )
        return CaptureError(f"process {pid} has ended.")
    if isinstance(error, Stuck):
        return CaptureError(f"process {pid} cannot be read: {error.strerror}.")
    if error.errno not in (errno.EPERM, errno.EACCES):
        return CaptureError(f"process {pid} cannot be read: {os.strerror(error.errno or 0)}.")
    refused = f"process {pid} cannot be inspected"
    scope = _ptrace_scope()
    if scope == 3:
        return CaptureError(
            f"{refused}: kernel.yama.ptrace_scope is 3, which forbids it to everybody; only a "
            "restart of the machine can lower it."
        )
    owner = owner_of(pid)
    if os.geteuid() == 0 and not _has_ptrace_capability():
        return CaptureError(
            f"{refused}: this container lacks the capability SYS_PTRACE; start it with"
            " --cap-add=SYS_PTRACE, or look from the host."
        )
    if _has_ptrace_capability() and _in_user_namespace():
        return CaptureError(
            f"{refused}: it runs outside of this user namespace, where this namespace's capability "
            "SYS_PTRACE does not count; look from inside its own container, or as root of"
            " the host."
        )
    if owner is not None and owner != os.geteuid():
        if _has_ptrace_capability() and not _capabilities() & _CAP_DAC:
            return CaptureError(
                f"{refused}: it belongs to user {owner}, and the capability SYS_PTRACE does not"
                f" open the files of its /proc/{pid}; add the capability DAC_READ_SEARCH."
            )
        return CaptureError(
            f"{refused}: it belongs to user {owner}; inspect it as that user, with sudo, or with "
            "the capabilities SYS_PTRACE and DAC_READ_SEARCH."
        )
    if scope == 2:
        return CaptureError(
            f"{refused}: kernel.yama.ptrace_scope is 2, which allows it only to administrators;"
            " use sudo, or the capability SYS_PTRACE in a container."
        )
    if scope == 1:
        return CaptureError(
            f"{refused}: kernel.yama.ptrace_scope is 1, which allows it only to a parent; start "
            "the program with `deadlock-matrix watch`, or use sudo (in a container: the capability"
            " SYS_PTRACE), or run `sudo sysctl kernel.yama.ptrace_scope=0`."
        )
    return CaptureError(
        f"{refused}: it is closed to other processes (it changed its user, or is marked as not "
        "dumpable); use sudo."
    )


def _ptrace_scope() -> int:
    """Return the value of ``kernel.yama.ptrace_scope``; 0 where Yama is not built in."""
    try:
        return int(read_small(_YAMA))
    except (OSError, ValueError):
        return 0


def _status_field(pid: int | str, name: bytes) -> bytes | None:
    for line in read_small(f"/proc/{pid}/status").splitlines():
        if line.startswith(name + b":"):
            return line[len(name) + 1 :].strip()
    return None


def only_ancestors_may_look() -> bool:
    """Return whether Yama lets us read only the memory of our own descendants.

    Then a helper may not read it either, since the helper is not an ancestor.
    """
    return _ptrace_scope() > 0 and not _has_ptrace_capability()


def _capabilities() -> int:
    """Return this process's effective capabilities, a bit mask (capabilities(7)), or 0."""
    try:
        return int(_status_field("self", b"CapEff") or b"0", 16)
    except (OSError, ValueError):
        return 0


def _has_ptrace_capability() -> bool:
    return bool(_capabilities() & _CAP_SYS_PTRACE)


def _in_user_namespace() -> bool:
    """Return whether user ids here are not those of the whole machine (user_namespaces(7))."""
    try:
        return read_small("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False


def _absent(pid: int) -> str:
    """Return why ``/proc`` does not show a process: there is none, or it is hidden."""
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return f"there is no process {pid} here; give the id of a running one, as ps shows it here."
    return (
        f"process {pid} cannot be inspected: /proc hides other users' processes (hidepid); "
        "inspect it as its user, or with sudo."
    )


def owner_of(pid: int) -> int | None:
    """Return the effective user id; a process that is not dumpable shows root as its owner."""
    try:
        return int((_status_field(pid, b"Uid") or b"").split()[1])
    except (OSError, ValueError, IndexError):
        return None
