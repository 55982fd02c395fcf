import ctypes
import os
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
library = ctypes.CDLL(os.path.join(HERE, "libsettings.so"))

worker = threading.Thread(target=library.verbosity)
os.write(2, b"onset %.6f\n" % time.monotonic())
worker.start()
worker.join()
