"""Opposite order, but with timeouts and with somebody who yields."""
import threading

first, second = threading.Lock(), threading.Lock()
each_holds_one = threading.Barrier(2)


def insist():
    with second:
        each_holds_one.wait()
        while not first.acquire(timeout=2):
            pass
        first.release()


def yield_in_the_end():
    with first:
        each_holds_one.wait()
        for _ in range(3):
            if second.acquire(timeout=2):
                second.release()
                return
    with second:
        pass


threading.Thread(target=insist).start()
yield_in_the_end()
