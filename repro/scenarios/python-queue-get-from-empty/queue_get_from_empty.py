"""The producer ends without the end marker that the consumer waits for."""
import queue
import sys
import threading
import time

items = queue.Queue()
producer = threading.Thread(target=lambda: [items.put(n) for n in range(3)])
producer.start()
producer.join()
while not items.empty():
    items.get()
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
while items.get() is not None:
    pass
