"""One thread keeps the GIL, in C, while another one wants it."""
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
work.compute(3)
work.rest(3)
done = True
