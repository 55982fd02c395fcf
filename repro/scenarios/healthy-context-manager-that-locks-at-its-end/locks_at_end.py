"""Two threads are inside blocks of clients that take their own lock only at times."""
import threading
import time


class Client:
    def __init__(self):
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        with self.lock:
            pass


def talk(own, other):
    with own:
        both.wait()
        with other.lock:
            pass


def maintain(clients):
    for client in clients:
        client.lock.acquire()
    both.wait()
    time.sleep(5)
    for client in clients:
        client.lock.release()


both = threading.Barrier(3)
ours, theirs = Client(), Client()
threads = [
    threading.Thread(target=talk, args=[ours, theirs]),
    threading.Thread(target=talk, args=[theirs, ours]),
    threading.Thread(target=maintain, args=[[ours, theirs]]),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
