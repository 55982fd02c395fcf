"""A timer sets what one thread waits for inside a lock."""
import threading

lock, done, inside = threading.Lock(), threading.Event(), threading.Event()


def wait():
    with lock:
        inside.set()
        done.wait()


def finish():
    inside.wait()
    with lock:
        done.set()


threads = [threading.Thread(target=work) for work in (wait, finish)]
threads.append(threading.Timer(4, done.set))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
