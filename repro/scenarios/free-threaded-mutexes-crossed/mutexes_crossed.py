import ctypes
import os
import threading
import time

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


both = threading.Barrier(2)


def lock_both(first, second):
    attached.lock(first)
    both.wait()
    attached.lock(second)


threading.Thread(target=lock_both, args=(1, 0)).start()
attached.lock(0)
both.wait()
os.write(2, b"onset %.6f\n" % time.monotonic())
attached.lock(1)
