"""The child never ends, so neither does the wait for it."""
import os
import sys
import threading
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


child = os.fork()
if child == 0:
    lock = threading.Lock()
    lock.acquire()
    onset()
    lock.acquire()
    os._exit(0)
onset()
os.waitpid(child, 0)
