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


def unlock_late():
    threading.Event().wait(3)
    attached.unlock(0)


threading.Thread(target=unlock_late).start()
attached.lock(0)
