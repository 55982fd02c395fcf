"""A thread inside `with` of a condition that waits for a notice, while others enter."""
import threading
import time

ready = threading.Condition(threading.Lock())
other = threading.Lock()
waiting = threading.Event()


def expect():
    with other, ready:
        waiting.set()
        ready.wait()


def enter():
    waiting.wait()
    with ready:
        time.sleep(6)
        ready.notify()


threads = [threading.Thread(target=work) for work in (expect, enter)]
for thread in threads:
    thread.start()
with other:
    pass
for thread in threads:
    thread.join()
