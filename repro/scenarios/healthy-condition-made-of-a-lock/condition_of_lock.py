"""A thread waits for a notice inside `with self.lock`; who has the lock lets go of it later."""
import threading
import time


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)


def watch(store, ready):
    with store.lock:
        ready.set()
        store.changed.wait()


def change(store, ready):
    ready.wait()
    with store.lock:
        store.changed.notify()


def keep(lock, watching, ready):
    watching.wait()
    lock.acquire()
    ready.set()
    time.sleep(5)
    lock.release()


def begin():
    store, watching, kept = Store(), threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=watch, args=[store, watching]),
        threading.Thread(target=change, args=[store, kept]),
        threading.Thread(target=keep, args=[store.lock, watching, kept]),
    ]
    for thread in threads:
        thread.start()
    return threads


for each in begin():
    each.join()
