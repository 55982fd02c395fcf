"""The owner is gone; another thread unlocks for it."""
import ctypes
import os
import threading

mutex = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutex.so"))
owner = threading.Thread(target=mutex.lock)
owner.start()
owner.join()
threading.Thread(target=mutex.unlock_after, args=[6]).start()
mutex.lock()
