"""Each of two threads takes one of two permits and waits for a second one."""
import sys
import threading
import time

connections = threading.Semaphore(2)
each_has_one = threading.Barrier(2)


def copy():
    with connections:
        each_has_one.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with connections:
            pass


threading.Thread(target=copy).start()
copy()
