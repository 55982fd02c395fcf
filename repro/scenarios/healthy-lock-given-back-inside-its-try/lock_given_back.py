"""A lock that its `finally` releases is given back and taken again inside the `try`."""
import threading
import time

first, second = threading.Lock(), threading.Lock()
each_has_one = threading.Barrier(2)


def pause():
    first.acquire()
    try:
        first.release()
        each_has_one.wait()
        second.acquire()  # the other thread has it, and waits for the first lock
        second.release()
        first.acquire()
    finally:
        first.release()


def work():
    second.acquire()
    try:
        given_back.wait()
        first.acquire()  # the main thread has it
        first.release()
    finally:
        second.release()


given_back = threading.Event()
threads = [threading.Thread(target=pause), threading.Thread(target=work)]
for thread in threads:
    thread.start()
each_has_one.wait()
first.acquire()
given_back.set()
time.sleep(6)
first.release()
for thread in threads:
    thread.join()
