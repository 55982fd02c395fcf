import threading
import time

shared = [2, 1]
gate = threading.Lock()
gate.acquire()
inside = threading.Event()


def key(value):
    inside.set()
    with gate:
        return value


thread = threading.Thread(target=shared.sort, kwargs={"key": key})
thread.start()
inside.wait()
time.sleep(3)
other = list(shared)
gate.release()
thread.join()
