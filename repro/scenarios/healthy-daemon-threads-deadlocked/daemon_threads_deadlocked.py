"""Somebody is deadlocked, but nobody who matters."""
import ctypes
import os
import threading
import time

mutexes = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutexes.so"))
mutexes.make()
for mine in (0, 1):
    threading.Thread(target=mutexes.cross, args=[mine], daemon=True).start()
worker = threading.Thread(target=time.sleep, args=[6])
worker.start()
worker.join()
