import ctypes
import os
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
exchange = ctypes.CDLL(os.path.join(HERE, "libexchange.so"))

threading.Thread(target=exchange.produce).start()
os.write(2, b"onset %.6f\n" % time.monotonic())
exchange.consume()
