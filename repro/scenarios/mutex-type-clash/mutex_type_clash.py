import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
older = ctypes.CDLL(os.path.join(HERE, "libolder.so"), ctypes.RTLD_GLOBAL)
newer = ctypes.CDLL(os.path.join(HERE, "libnewer.so"), ctypes.RTLD_GLOBAL)

older.older_register()  # the first caller creates the shared object
os.write(2, b"onset %.6f\n" % time.monotonic())
newer.newer_register()
