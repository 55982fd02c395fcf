"""Locks held in `with` blocks that a third thread releases."""
import threading
import time

first, second = threading.Lock(), threading.Lock()
each_holds_one = threading.Barrier(3)


def take(mine, other):
    try:
        with mine:
            each_holds_one.wait()
            with other:
                pass
    except RuntimeError:
        pass  # somebody else has released it


def release_both():
    each_holds_one.wait()
    time.sleep(6)
    first.release()
    second.release()


threads = [
    threading.Thread(target=take, args=(first, second)),
    threading.Thread(target=take, args=(second, first)),
    threading.Thread(target=release_both),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
