"""Containers made by unshare(1) alone: namespaces, a root of bind mounts, and nothing of the host.

`CONTAINER` is what runs inside of the new namespaces: it builds a root in which the interpreter is
called ``/opt/python``, makes it the root (pivot_root), and executes a script in it. The mounts are
its own and end with it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CONTAINER = r"""
set -e
root=$1 prefix=$2 folder=$3 python=$4 script=$5 proc=$6
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p opt/python app proc old tmp dev
for each in /usr /bin /lib /lib64; do
    if [ -L "$each" ]; then cp -P "$each" ".$each"
    elif [ -d "$each" ]; then mkdir -p ".$each"; mount --rbind "$each" ".$each"; fi
done
mount --rbind "$prefix" opt/python
mkdir -p ".$prefix"
mount --rbind "$prefix" ".$prefix"  # an unpacked one names its loader there
mount --rbind "$folder" app
mount --rbind /dev dev
if [ "$proc" = own-proc ]; then mount -t proc proc proc; else mount --rbind /proc proc; fi
"$(command -v pivot_root || echo /sbin/pivot_root)" . old
cd /
umount -l /old
exec env LD_LIBRARY_PATH=/opt/python/lib "/opt/python/bin/$python" "/app/$script"
"""

PID_AND_MOUNT = ("--pid", "--mount", "--fork", "--kill-child")


def place_of(executable: str) -> tuple[str, str]:
    """The folder of an interpreter and its file name, without a virtual environment."""
    if executable != sys.executable:
        real = Path(executable).resolve()
        return str(real.parent.parent), real.name
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return sys.base_prefix, name if Path(sys.base_prefix, "bin", name).exists() else "python3"


def start(
    folder: Path, script: str, root: Path, *namespaces: str, python: str = sys.executable
) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a container that runs ``script`` out of ``folder``.

    Args:
        folder: what it sees as ``/app``.
        script: its name in there; it writes a line when it is ready.
        root: an empty folder on which to build the container's root.
        namespaces: options of unshare(1).
        python: the interpreter.

    Returns:
        The process that holds it, and an empty text, or why there is none.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return subprocess.Popen(["true"]), "there is no unshare(1)"
    prefix, name = place_of(python)
    process = subprocess.Popen(
        [
            *(unshare, *namespaces, "sh", "-c", CONTAINER, "container", root),
            *(prefix, folder, name, script),
            "own-proc" if "--pid" in namespaces else "same-proc",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    if process.stdout.readline() == b"ready\n":
        return process, ""
    reason = process.stderr.read().decode("utf-8", "replace").strip()
    return process, f"a container cannot be made here: {reason}"


def main_process(holder: int) -> int:
    """The observer's id of the first process in a container, below unshare(1)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == holder:
            return int(stat.parent.name)
    raise AssertionError(f"{holder} has no child")
