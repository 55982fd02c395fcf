import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
leaver = ctypes.CDLL(os.path.join(HERE, "libleaver.so"))

leaver.lock_in_a_thread_that_ends()
os.write(2, b"onset %.6f\n" % time.monotonic())
leaver.lock_here()
