"""The only worker waits for work that only it could do."""
import sys
import time
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(max_workers=1)


def inner():
    return 42


def outer():
    future = pool.submit(inner)
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    return future.result()


pool.submit(outer).result()
