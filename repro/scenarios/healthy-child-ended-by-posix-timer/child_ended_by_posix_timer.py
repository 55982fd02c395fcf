"""A child gives itself a time limit with timer_create, and its parent waits for it."""
import ctypes
import os
import signal


class Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


def in_six_seconds():
    try:
        create = ctypes.CDLL(None).timer_create
    except AttributeError:  # glibc before 2.34
        create = ctypes.CDLL("librt.so.1").timer_create
    settime = ctypes.CDLL(None).timer_settime if hasattr(ctypes.CDLL(None), "timer_settime") \
        else ctypes.CDLL("librt.so.1").timer_settime
    timer = ctypes.c_void_p()
    assert create(1, None, ctypes.byref(timer)) == 0  # CLOCK_MONOTONIC, SIGALRM
    assert settime(timer, 0, ctypes.byref(Spec(0, 0, 6, 0)), None) == 0


read_end, write_end = os.pipe()
child = os.fork()
if child == 0:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    in_six_seconds()
    os.read(read_end, 1)
    os._exit(1)
assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGALRM
