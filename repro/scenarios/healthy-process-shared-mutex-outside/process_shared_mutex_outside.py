"""The owner of the mutex is in a process that is no descendant."""
import ctypes
import os
import time

from outside import do_later_from_outside

shared = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libshared.so"))
shared.make()
is_held, held = os.pipe()


def hold():
    shared.lock()
    os.write(held, b"-")
    time.sleep(6)
    shared.unlock()


do_later_from_outside(0, hold)
os.read(is_held, 1)
shared.lock()
