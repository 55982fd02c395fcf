"""Opposite order, but with timeouts and with somebody who yields."""
import ctypes
import os
import threading

mutexes = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutexes.so"))
each_holds_one = threading.Barrier(2)


def insist():
    mutexes.lock(1)
    each_holds_one.wait()
    while not mutexes.lock_within(0, 2):
        pass
    mutexes.unlock(0)
    mutexes.unlock(1)


def yield_in_the_end():
    mutexes.lock(0)
    each_holds_one.wait()
    refused = all(not mutexes.lock_within(1, 2) for _ in range(3))
    mutexes.unlock(0)
    if refused:
        mutexes.lock(1)
    mutexes.unlock(1)


threading.Thread(target=insist).start()
yield_in_the_end()
