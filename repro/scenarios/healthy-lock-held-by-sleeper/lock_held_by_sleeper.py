"""Holding a lock while sleeping is impolite, not deadly."""
import threading
import time

lock, held = threading.Lock(), threading.Event()


def hold():
    with lock:
        held.set()
        time.sleep(6)


threading.Thread(target=hold).start()
held.wait()
with lock:
    pass
