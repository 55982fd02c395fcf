import ctypes
import os
import threading
import time

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


thread = threading.Thread(target=attached.lock, args=(0,))
thread.start()
thread.join()
os.write(2, b"onset %.6f\n" % time.monotonic())
attached.lock(0)
