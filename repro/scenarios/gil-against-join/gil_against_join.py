import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
with_gil = ctypes.PyDLL(os.path.join(HERE, "libcallback.so"))

report = ctypes.CFUNCTYPE(None)(lambda: None)
os.write(2, b"onset %.6f\n" % time.monotonic())
with_gil.run_and_join(report)
