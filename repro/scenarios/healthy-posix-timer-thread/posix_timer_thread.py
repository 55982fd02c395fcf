"""The thread that will post the semaphore is started when the timer expires."""
import ctypes
import os

timer = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libtimer.so"))
timer.wait_for_timer(6)
