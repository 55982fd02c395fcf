"""How long ``deadlock-matrix inspect`` takes on a hung process with torch loaded."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from measure import spread

HANG = """
import sys
try:
    import torch
except ImportError:
    pass
import threading
lock = threading.Lock()
lock.acquire()
print("ready", flush=True)
lock.acquire()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="one that has torch, if wanted")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    process = subprocess.Popen([arguments.python, "-c", HANG], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        times = []
        for _ in range(arguments.runs):
            begin = time.perf_counter()
            command = [sys.executable, "-m", "deadlock_matrix", "inspect", str(process.pid)]
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
            times.append(time.perf_counter() - begin)
            assert done.returncode == 35, done.stdout
        print(f"inspect of a hung process, {arguments.runs} times: {spread(times)}")
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
