import ctypes
import gc
import os
import threading
import time

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


threading.Thread(target=attached.wait_attached).start()
detached.wait_until_inside()
os.write(2, b"onset %.6f\n" % time.monotonic())
gc.collect()
detached.let_go_on()
