"""A guard that another process opens."""
import ctypes
import os

from outside import do_later_from_outside

guard = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libguard.so"))
if guard.make() == 0:
    do_later_from_outside(6, guard.open_it)
    guard.await_it()
