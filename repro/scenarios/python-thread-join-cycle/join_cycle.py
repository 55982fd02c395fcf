"""Two threads wait for each other's end."""
import sys
import threading
import time

both_run = threading.Barrier(2)


def join(name):
    both_run.wait()
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    threads[name].join()


threads = {
    "left": threading.Thread(target=join, args=("right",), name="left"),
    "right": threading.Thread(target=join, args=("left",), name="right"),
}
for thread in threads.values():
    thread.start()
threads["left"].join()
