import ctypes
import gc
import os
import threading

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


threading.Thread(target=attached.sleep_attached, args=(3,)).start()
detached.wait_until_inside()
gc.collect()
