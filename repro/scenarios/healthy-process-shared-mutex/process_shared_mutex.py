"""The owner of the mutex is in another process."""
import ctypes
import os
import threading
import time

shared = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libshared.so"))
shared.make()
is_held, held = os.pipe()
child = os.fork()
if child == 0:
    shared.lock()
    os.write(held, b"-")
    time.sleep(6)
    shared.unlock()
    os._exit(0)
os.read(is_held, 1)


def take():
    shared.lock()
    shared.unlock()


threading.Thread(target=take).start()
take()
os.waitpid(child, 0)
