"""A queue is waited for inside the lock under which it is filled."""
import queue
import sys
import threading
import time


class Desk:
    def __init__(self):
        self._lock, self._orders, self._inside = threading.Lock(), queue.Queue(), threading.Event()

    def serve(self):
        with self._lock:
            self._inside.set()
            self._orders.get()

    def order(self):
        self._inside.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with self._lock:
            self._orders.put("tea")


desk = Desk()
threading.Thread(target=desk.serve, daemon=True).start()
threading.Thread(target=desk.order, daemon=True).start()
while True:
    time.sleep(0.2)
