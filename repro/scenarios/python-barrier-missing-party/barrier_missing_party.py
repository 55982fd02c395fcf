"""Three parties are awaited; the main thread and one worker come."""
import sys
import threading
import time

WORKERS = 1
everyone = threading.Barrier(3)


def arrive():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    everyone.wait()


for _ in range(WORKERS):
    threading.Thread(target=arrive).start()
arrive()
