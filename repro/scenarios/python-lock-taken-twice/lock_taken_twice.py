"""A function that holds a plain lock calls another one that takes it."""
import sys
import threading
import time

lock = threading.Lock()


def rotate():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    with lock:
        pass


def write():
    with lock:
        rotate()


write()
