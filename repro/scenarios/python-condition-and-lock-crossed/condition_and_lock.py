"""One thread is inside a condition and wants a lock, the other the other way round."""
import sys
import threading
import time


class Queue:
    def __init__(self):
        self._ready = threading.Condition()
        self._statistics = threading.Lock()

    def put(self):
        with self._ready:
            each_holds_one.wait()
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            with self._statistics:
                self._ready.notify()

    def report(self):
        with self._statistics:
            each_holds_one.wait()
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            with self._ready:
                pass


each_holds_one = threading.Barrier(2)
queue = Queue()
threading.Thread(target=queue.put, daemon=True).start()
threading.Thread(target=queue.report, daemon=True).start()
while True:
    time.sleep(0.2)
