"""A future is waited for inside a lock that its own work needs."""
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

pool, lock, asked = ThreadPoolExecutor(2), threading.RLock(), threading.Event()
futures = []  # the main thread could cancel one


def answer():
    asked.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    with lock:
        return 42


def ask():
    with lock:
        futures.append(pool.submit(answer))
        asked.set()
        return futures[0].result()


pool.submit(asked.wait)
threading.Thread(target=ask, daemon=True).start()
while True:
    time.sleep(0.2)
