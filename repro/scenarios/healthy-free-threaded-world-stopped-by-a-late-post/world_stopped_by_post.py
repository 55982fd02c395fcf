import ctypes
import gc
import os
import threading

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


threading.Thread(target=detached.let_go_on_later, args=(3,)).start()
threading.Thread(target=attached.wait_attached).start()
detached.wait_until_inside()
gc.collect()
