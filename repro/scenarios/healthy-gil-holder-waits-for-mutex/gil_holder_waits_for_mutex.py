"""GIL and mutex in opposite order, but not at the same time."""
import ctypes
import os
import threading
import time

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutex.so")
without_gil, with_gil = ctypes.CDLL(path), ctypes.PyDLL(path)


def want_the_gil():
    while not done:
        time.sleep(0.001)


done = False
is_held, held = os.pipe()
threading.Thread(target=without_gil.hold, args=[held, 6]).start()
os.read(is_held, 1)
threading.Thread(target=want_the_gil).start()
with_gil.take()
done = True
