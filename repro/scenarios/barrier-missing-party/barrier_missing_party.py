import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
team = ctypes.CDLL(os.path.join(HERE, "libteam.so"))

os.write(2, b"onset %.6f\n" % time.monotonic())
team.start()
