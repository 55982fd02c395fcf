"""The holder of the GIL waits for a thread that does not need it."""
import ctypes
import os
import threading
import time

work = ctypes.PyDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libwork.so"))


def want_the_gil():
    while not done:
        time.sleep(0.001)


done = False
threading.Thread(target=want_the_gil).start()
work.work_in_thread()
done = True
