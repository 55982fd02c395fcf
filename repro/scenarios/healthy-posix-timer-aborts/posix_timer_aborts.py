"""A signal that usually means the end."""
import ctypes
import os

ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libtimer.so")).run(6)
