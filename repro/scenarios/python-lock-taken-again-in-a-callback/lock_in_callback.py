"""A callback wants the lock under which it is called; the rest goes on."""
import sys
import threading
import time


class Registry:
    def __init__(self):
        self._lock = threading.Lock()
        self._listeners = [self.count]

    def count(self):
        with self._lock:
            return len(self._listeners)

    def notify(self):
        with self._lock:
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            for listener in self._listeners:
                listener()


threading.Thread(target=Registry().notify, daemon=True).start()
while True:
    time.sleep(0.2)
