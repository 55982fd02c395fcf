import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
circle = ctypes.CDLL(os.path.join(HERE, "libcircle.so"))

os.write(2, b"onset %.6f\n" % time.monotonic())
circle.close_circle()
