"""The child's output does not fit into the pipe that nobody reads."""
import subprocess
import sys
import time

CHILD = """
import os, sys, time
sys.stderr.write(f"onset {time.monotonic()}\\n")
sys.stderr.flush()
os.write(1, bytes(1 << 20))
"""

child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
child.wait()
child.stdout.read()
