"""A mutex that goes from hand to hand."""
import ctypes
import os

ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libbaton.so")).run()
