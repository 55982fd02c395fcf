"""Two are stuck, one of them the main thread; the third one does not care."""
import ctypes
import os
import sys
import threading
import time

mutexes = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutexes.so"))
mutexes.make()


def work():
    while True:
        time.sleep(0.1)


threading.Thread(target=work, name="worker", daemon=True).start()
threading.Thread(target=mutexes.cross, args=[1], daemon=True).start()
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
mutexes.cross(0)
