import ctypes
import os
import threading
import time

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


shared = []
attached.wait_in_section.argtypes = [ctypes.py_object]
threading.Thread(target=attached.wait_in_section, args=(shared,)).start()
detached.wait_until_inside()
os.write(2, b"onset %.6f\n" % time.monotonic())
shared.append(1)
detached.let_go_on()
