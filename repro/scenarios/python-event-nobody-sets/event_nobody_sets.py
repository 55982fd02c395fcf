"""Each thread waits for the other to speak first."""
import sys
import threading
import time

ready, go = threading.Event(), threading.Event()


def work():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    go.wait()
    ready.set()


threading.Thread(target=work).start()
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
ready.wait()
go.set()
