"""The work is done without the main thread."""
import ctypes
import os
import threading
import time

mutexes = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmutexes.so"))
mutexes.make()


def work():
    for number in range(6):
        time.sleep(1)
        print(number, flush=True)
    os._exit(0)


threading.Thread(target=work).start()
threading.Thread(target=mutexes.cross, args=[1]).start()
mutexes.cross(0)
