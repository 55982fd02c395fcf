import ctypes
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
wakeup = ctypes.CDLL(os.path.join(HERE, "libwakeup.so"))

wakeup.signal_from_a_thread()
os.write(2, b"onset %.6f\n" % time.monotonic())
wakeup.wait_for_signal()
