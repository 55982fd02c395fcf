"""Opposite order, one of the two is in a hurry."""
import ctypes
import os
import threading

mutexes = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutexes.so"))
each_holds_one = threading.Barrier(2)


def wait_for_ever():
    mutexes.lock(1)
    each_holds_one.wait()
    mutexes.lock(0)
    mutexes.unlock(0)
    mutexes.unlock(1)


patient = threading.Thread(target=wait_for_ever)
patient.start()
mutexes.lock(0)
each_holds_one.wait()
mutexes.lock_within(1, 6)
mutexes.unlock(0)
patient.join()
