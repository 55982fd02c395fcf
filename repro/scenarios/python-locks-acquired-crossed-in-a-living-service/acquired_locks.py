"""Two threads of a service take two locks in opposite order by `acquire()`; the rest goes on."""
import sys
import threading
import time


class Account:
    def __init__(self):
        self._lock = threading.Lock()

    def transfer(self, other):
        self._lock.acquire()
        try:
            each_holds_one.wait()
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            other._lock.acquire()
            other._lock.release()
        finally:
            self._lock.release()


each_holds_one = threading.Barrier(2)
ours, theirs = Account(), Account()
threading.Thread(target=ours.transfer, args=[theirs], daemon=True).start()
threading.Thread(target=theirs.transfer, args=[ours], daemon=True).start()
while True:
    time.sleep(0.2)
