import ctypes
import os
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
held = ctypes.CDLL(os.path.join(HERE, "libheld.so"))

holder = threading.Thread(target=held.lock_until_forked)
holder.start()
held.wait_until_locked()
child = os.fork()
if child == 0:
    os.write(2, b"onset %.6f\n" % time.monotonic())
    held.lock_here()
    os._exit(0)
held.forked()
holder.join()
os.waitpid(child, 0)
