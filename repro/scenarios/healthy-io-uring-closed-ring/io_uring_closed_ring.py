"""One thread, in an untimed private wait, and no descriptor that would explain its end."""
import ctypes
import os

ring = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libring.so"))
ring.await_word(6)
