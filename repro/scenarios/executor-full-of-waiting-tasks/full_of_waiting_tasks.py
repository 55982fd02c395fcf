"""A pool that waits for itself, in a program that goes on."""
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

pool, both = ThreadPoolExecutor(2), threading.Barrier(2)


def inner():
    return 42


def outer():
    both.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    return pool.submit(inner).result()


for _ in range(2):
    pool.submit(outer)
while True:
    time.sleep(0.2)
