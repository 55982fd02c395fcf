"""A parent that does not trust its child."""
import subprocess
import sys

CHILD = """
import threading
both_run = threading.Barrier(3)
left = threading.Thread(target=lambda: both_run.wait() + right.join())
right = threading.Thread(target=lambda: both_run.wait() + left.join())
left.start(), right.start(), both_run.wait()
left.join()
"""

try:
    subprocess.run([sys.executable, "-c", CHILD], timeout=6)
except subprocess.TimeoutExpired:
    pass
