import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
once = ctypes.CDLL(os.path.join(HERE, "libonce.so"))

os.write(2, b"onset %.6f\n" % time.monotonic())
once.use()
