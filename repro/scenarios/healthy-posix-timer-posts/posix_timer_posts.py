"""All threads wait for a semaphore that only a signal handler posts."""
import ctypes
import os
import threading

timer = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libtimer.so"))
timer.arm(6)
threading.Thread(target=timer.wait_and_pass_on).start()
timer.wait_and_pass_on()
