import ctypes
import os
import threading
import time

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libattached.so")
attached = ctypes.PyDLL(LIBRARY)
detached = ctypes.CDLL(LIBRARY)


shared = object()
attached.lock_native_in_section.argtypes = [ctypes.py_object]
attached.enter_section_with_native.argtypes = [ctypes.py_object]


def take_native_first():
    detached.wait_until_inside()
    os.write(2, b"onset %.6f\n" % time.monotonic())
    attached.enter_section_with_native(shared)


threading.Thread(target=take_native_first, daemon=True).start()
threading.Thread(target=attached.lock_native_in_section, args=(shared,), daemon=True).start()
while True:
    time.sleep(0.2)
