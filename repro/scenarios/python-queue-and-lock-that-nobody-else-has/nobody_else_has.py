"""A queue and a lock that only two threads can get to."""
import queue
import sys
import threading
import time


def open_desk():
    lock, orders, inside = threading.Lock(), queue.Queue(), threading.Event()

    def serve():
        with lock:
            inside.set()
            orders.get()

    def order():
        inside.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with lock:
            orders.put("tea")

    threading.Thread(target=serve, daemon=True).start()
    threading.Thread(target=order, daemon=True).start()


open_desk()
while True:
    time.sleep(0.2)
