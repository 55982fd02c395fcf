"""A notification that comes before the wait is lost."""
import sys
import threading
import time

ready = threading.Condition()


def produce():
    with ready:
        ready.notify()


producer = threading.Thread(target=produce)
producer.start()
producer.join()
with ready:
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    ready.wait()
