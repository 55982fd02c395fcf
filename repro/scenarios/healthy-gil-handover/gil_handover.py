"""Three threads compute for six seconds under one GIL."""
import threading
import time

end = time.monotonic() + 6


def compute():
    while time.monotonic() < end:
        sum(range(10000))


threads = [threading.Thread(target=compute) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
