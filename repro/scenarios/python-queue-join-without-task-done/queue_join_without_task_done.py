"""The worker handles every job and reports none as done."""
import queue
import sys
import threading
import time

jobs = queue.Queue()
handled = threading.Event()


def work():
    while True:
        job = jobs.get()
        job()


threading.Thread(target=work).start()
jobs.put(handled.set)
handled.wait()
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
jobs.join()
