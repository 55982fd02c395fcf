"""The child waits for the end of its input, the parent for the end of the child."""
import subprocess
import sys
import time

CHILD = """
import os, sys, time
sys.stderr.write(f"onset {time.monotonic()}\\n")
sys.stderr.flush()
os.read(0, 1)
"""

child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE)
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
child.wait()
child.stdin.close()
