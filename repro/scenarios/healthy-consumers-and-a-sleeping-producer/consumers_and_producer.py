"""Consumers wait for what comes late."""
import queue
import threading
import time

jobs = queue.Queue()


def consume():
    while jobs.get() is not None:
        pass


def produce():
    time.sleep(4)
    for _ in consumers:
        jobs.put(None)


consumers = [threading.Thread(target=consume) for _ in range(3)]
for thread in consumers:
    thread.start()
produce()
for thread in consumers:
    thread.join()
