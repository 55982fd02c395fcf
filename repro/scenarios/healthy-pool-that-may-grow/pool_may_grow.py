"""A pool that has not all of its threads yet."""
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

pool, both, queued = ThreadPoolExecutor(3), threading.Barrier(2), Future()


def inner():
    return 42


def submit_without_a_thread():
    pool._idle_semaphore.release()  # as a thread does that goes to fetch work
    future = pool.submit(inner)
    queued.set_result(future)
    return future


def outer(asks):
    both.wait()
    future = submit_without_a_thread() if asks else queued.result()
    return future.result()


outers = [pool.submit(outer, True), pool.submit(outer, False)]
time.sleep(4)
pool.submit(inner)
assert [future.result() for future in outers] == [42, 42]
