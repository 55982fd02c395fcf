"""Asleep in io_uring_enter."""
import ctypes
import os
import threading

ring = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libring.so"))
sleeper = threading.Thread(target=ring.sleep_in_ring, args=[6])
sleeper.start()
sleeper.join()
