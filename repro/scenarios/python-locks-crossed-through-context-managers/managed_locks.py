"""Two threads of a service cross two locks, one taken by a context manager, one by a class."""
import contextlib
import sys
import threading
import time


class Store:
    def __init__(self):
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def opened(self):
        with self._lock:
            yield self


class CountedLock:
    def __init__(self):
        self._lock = threading.Lock()
        self.taken = 0

    def __enter__(self):
        self._lock.acquire()
        self.taken += 1

    def __exit__(self, *reason):
        self.release()

    def release(self):
        self._lock.release()


def move(first, second):
    with first:
        each_holds_one.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with second:
            pass


each_holds_one = threading.Barrier(2)
store, counted = Store(), CountedLock()
threading.Thread(target=move, args=[store.opened(), counted], daemon=True).start()
threading.Thread(target=move, args=[counted, store.opened()], daemon=True).start()
while True:
    time.sleep(0.2)
