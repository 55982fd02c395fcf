"""Two threads take two Python locks in opposite order."""
import sys
import threading
import time

first, second = threading.Lock(), threading.Lock()
each_holds_one = threading.Barrier(2)


def take(mine, other):
    with mine:
        each_holds_one.wait()
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
        with other:
            pass


threading.Thread(target=take, args=(second, first)).start()
take(first, second)
