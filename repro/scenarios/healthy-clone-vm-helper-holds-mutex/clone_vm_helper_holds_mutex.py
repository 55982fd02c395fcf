"""A lock taken in somebody else's name."""
import ctypes
import os

ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libhelper.so")).run()
