"""Locks used as batons: acquired here, released elsewhere."""
import threading
import time

first, second = threading.Lock(), threading.Lock()
each_holds_one = threading.Barrier(3)


def take(mine, other):
    mine.acquire()
    each_holds_one.wait()
    other.acquire()


def release_both():
    each_holds_one.wait()
    time.sleep(6)
    first.release()
    second.release()


threading.Thread(target=take, args=(second, first)).start()
threading.Thread(target=release_both).start()
take(first, second)
