"""One producer waits for the lock, another one needs none."""
import queue
import threading
import time

lock, orders, inside = threading.Lock(), queue.Queue(), threading.Event()


def serve():
    with lock:
        inside.set()
        orders.get()


def order():
    inside.wait()
    with lock:
        orders.put("tea")


def deliver(to):
    time.sleep(4)
    to.put("coffee")


threads = [threading.Thread(target=work) for work in (serve, order)]
threads.append(threading.Thread(target=deliver, args=[orders]))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
