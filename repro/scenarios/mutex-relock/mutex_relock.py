import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
relock = ctypes.CDLL(os.path.join(HERE, "librelock.so"))

os.write(2, b"onset %.6f\n" % time.monotonic())
relock.update()
