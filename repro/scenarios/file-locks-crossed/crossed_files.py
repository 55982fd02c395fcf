"""Two children that have locked one file each."""
import fcntl
import os
import sys
import subprocess
import tempfile
import time

CHILD = """
import fcntl, sys
mine, other = open(sys.argv[1], "w"), open(sys.argv[2], "w")
fcntl.flock(mine, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.readline()
fcntl.flock(other, fcntl.LOCK_EX)
"""

with tempfile.TemporaryDirectory() as folder:
    files = [os.path.join(folder, name) for name in ("first", "second")]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, *order], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for order in (files, files[::-1])
    ]
    for child in children:
        child.stdout.readline()
    print(f"onset {time.monotonic()}", flush=True)
    for child in children:
        child.stdin.write(b"\n")
        child.stdin.flush()
    for child in children:
        child.wait()
