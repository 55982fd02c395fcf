"""Two threads of a service take two re-entrant locks in opposite order; the rest goes on."""
import sys
import threading
import time


class Ledger:
    def __init__(self):
        self._lock = threading.RLock()

    def transfer(self, other):
        with self._lock:
            each_holds_one.wait()
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            with other._lock:
                pass


each_holds_one = threading.Barrier(2)
ours, theirs = Ledger(), Ledger()
threading.Thread(target=ours.transfer, args=[theirs], daemon=True).start()
threading.Thread(target=theirs.transfer, args=[ours], daemon=True).start()
while True:
    time.sleep(0.2)
