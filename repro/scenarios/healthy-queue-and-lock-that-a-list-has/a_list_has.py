"""A queue that two threads have, and a list."""
import queue
import threading
import time

later = []


def open_desk():
    lock, orders, inside = threading.Lock(), queue.Queue(), threading.Event()

    def serve():
        with lock:
            inside.set()
            orders.get()

    def order():
        inside.wait()
        with lock:
            orders.put("tea")

    later.append(orders.put)
    threads = [threading.Thread(target=work) for work in (serve, order)]
    for thread in threads:
        thread.start()
    return threads


def finish(threads):
    time.sleep(4)
    later.pop()("coffee")
    for thread in threads:
        thread.join()


finish(open_desk())
