"""A worker is joined inside the lock that it needs to end."""
import sys
import threading
import time

lock, inside = threading.RLock(), threading.Event()


def work():
    inside.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    with lock:
        pass


def stop():
    with lock:
        inside.set()
        worker.join()


worker = threading.Thread(target=work, daemon=True)
worker.start()
threading.Thread(target=stop, daemon=True).start()
while True:
    time.sleep(0.2)
