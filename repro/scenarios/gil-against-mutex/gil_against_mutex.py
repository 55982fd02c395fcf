import ctypes
import os
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(HERE, "libguarded.so")
without_gil = ctypes.CDLL(LIBRARY)
with_gil = ctypes.PyDLL(LIBRARY)

threading.Thread(target=without_gil.lock_and_return).start()
without_gil.wait_until_locked()
os.write(2, b"onset %.6f\n" % time.monotonic())
with_gil.lock_too()
