"""The lock is copied locked; the thread that would release it is not copied."""
import os
import sys
import threading
import time

lock = threading.Lock()
held, forked = threading.Event(), threading.Event()


def hold():
    with lock:
        held.set()
        forked.wait()


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if child == 0:
    onset()
    lock.acquire()
    os._exit(0)
forked.set()
holder.join()
onset()
os.waitpid(child, 0)
