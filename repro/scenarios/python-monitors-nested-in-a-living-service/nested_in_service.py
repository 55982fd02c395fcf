"""A monitor within a monitor, of two threads of a service."""
import sys
import threading
import time


class Stock:
    def __init__(self):
        self._door, self._filled = threading.RLock(), threading.Condition()
        self._inside = threading.Event()

    def take(self):
        with self._door:
            with self._filled:
                self._inside.set()
                self._filled.wait()

    def fill(self):
        self._inside.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with self._door:
            with self._filled:
                self._filled.notify()


stock = Stock()
for work in (stock.take, stock.fill):
    threading.Thread(target=work, daemon=True).start()
while True:
    time.sleep(0.2)
