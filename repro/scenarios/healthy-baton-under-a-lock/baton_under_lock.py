"""A baton awaited inside a `with` block of another lock, for which others wait."""
import threading
import time

guard, baton = threading.RLock(), threading.Lock()
baton.acquire()
inside = threading.Event()


def await_baton():
    with guard:
        inside.set()
        baton.acquire()


def enter():
    inside.wait()
    with guard:
        pass


def pass_it_on():
    inside.wait()
    time.sleep(6)
    baton.release()


threads = [threading.Thread(target=work) for work in (await_baton, enter, pass_it_on)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
