"""Who waits for a notice under a second lock keeps out who would give it."""
import sys
import threading
import time

store = threading.RLock()
changed = threading.Condition(threading.Lock())
inside = threading.Event()


def change():
    inside.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    with store, changed:
        changed.notify()


threading.Thread(target=change).start()
with store, changed:
    inside.set()
    changed.wait()
