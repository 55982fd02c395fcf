"""A full pool whose queue somebody empties."""
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

pool, both, inners = ThreadPoolExecutor(2), threading.Barrier(2), []


def inner():
    return 42


def outer():
    both.wait()
    inners.append(pool.submit(inner))
    try:
        return inners[-1].result()
    except CancelledError:
        return None


outers = [pool.submit(outer) for _ in range(2)]
time.sleep(4)
for future in tuple(inners):
    future.cancel()
for future in outers:
    future.result()
