"""Two threads cross two locks; a third waits in a condition that is made of one of them."""
import sys
import threading
import time


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)

    def watch(self):
        with self.lock:
            watching.set()
            self.changed.wait()


def fill():
    with store.lock:
        each_holds_one.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with journal:
            pass


def clear():
    with journal:
        each_holds_one.wait()
        with store.lock:
            pass


store, journal = Store(), threading.Lock()
watching, each_holds_one = threading.Event(), threading.Barrier(2)
threading.Thread(target=store.watch, daemon=True).start()
watching.wait()
with store.lock:  # free again only once the other waits for a notice
    pass
for work in (fill, clear):
    threading.Thread(target=work, daemon=True).start()
while True:
    time.sleep(0.2)
