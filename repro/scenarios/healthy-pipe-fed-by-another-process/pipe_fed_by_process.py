"""A child writes what a thread reads inside a lock."""
import os
import threading
import time

source, sink = os.pipe()
child = os.fork()
if child == 0:
    time.sleep(4)
    os.write(sink, b"x")
    os._exit(0)
lock, inside = threading.Lock(), threading.Event()


def take():
    with lock:
        inside.set()
        os.read(source, 1)


def give():
    inside.wait()
    with lock:
        os.write(sink, b"y")


threads = [threading.Thread(target=work) for work in (take, give)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os.waitpid(child, 0)
