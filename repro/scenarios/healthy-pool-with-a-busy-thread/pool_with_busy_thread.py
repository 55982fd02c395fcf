"""A pool in which one thread is still at work."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

pool, both = ThreadPoolExecutor(3), threading.Barrier(2)


def inner():
    return 42


def outer():
    both.wait()
    return pool.submit(inner).result()


pool.submit(time.sleep, 4)
assert [future.result() for future in [pool.submit(outer) for _ in range(2)]] == [42, 42]
