"""A pipe is read inside the lock under which it is written."""
import os
import sys
import threading
import time

lock, inside = threading.Lock(), threading.Event()
source, sink = os.pipe()


def take():
    with lock:
        inside.set()
        os.read(source, 1)


def give():
    inside.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    with lock:
        os.write(sink, b"x")


threading.Thread(target=take, daemon=True).start()
threading.Thread(target=give, daemon=True).start()
while True:
    time.sleep(0.2)
