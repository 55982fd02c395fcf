"""A cycle for who does not look at one instant."""
import ctypes
import os
import threading

turns = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libturns.so"))
turns.make(6)
odd = threading.Thread(target=turns.play, args=[1], name="odd")
odd.start()
even = threading.Thread(target=turns.play, args=[0], name="even")
even.start()
even.join()
