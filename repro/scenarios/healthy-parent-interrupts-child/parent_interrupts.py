"""A time limit that is kept by SIGINT."""
import signal
import subprocess
import sys

TOOL = """
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
first, second = threading.Lock(), threading.Lock()
both_hold_one = threading.Barrier(2)
def cross(mine, other):
    with mine:
        both_hold_one.wait()
        other.acquire()
threading.Thread(target=cross, args=(second, first), daemon=True).start()
try:
    cross(first, second)
except KeyboardInterrupt:
    os._exit(0)
"""

child = subprocess.Popen([sys.executable, "-c", TOOL])
try:
    child.wait(6)
except subprocess.TimeoutExpired:
    child.send_signal(signal.SIGINT)
if child.wait() != 0:
    raise RuntimeError(child.returncode)
