"""The answer stands behind an event that nobody sets."""
import os
import sys
import threading
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(reader)
    onset()
    threading.Event().wait()
    os.write(writer, b"answer")
    os._exit(0)
os.close(writer)
onset()
os.read(reader, 100)
os.waitpid(child, 0)
