import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
table = ctypes.CDLL(os.path.join(HERE, "libtable.so"))

os.write(2, b"onset %.6f\n" % time.monotonic())
table.rebuild()
