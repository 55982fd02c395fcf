"""The parent is the third one in the play."""
import multiprocessing
import time

fork = multiprocessing.get_context("fork")


def cross(mine, other, both_hold_one):
    with mine:
        both_hold_one.wait()
        with other:
            pass
        mine.acquire(block=False)  # so that there is something to release


first, second, both_hold_one = fork.Lock(), fork.Lock(), fork.Barrier(2)
children = [
    fork.Process(target=cross, args=(first, second, both_hold_one)),
    fork.Process(target=cross, args=(second, first, both_hold_one)),
]
for child in children:
    child.start()
time.sleep(4)
first.release()
for child in children:
    child.join()
    if child.exitcode != 0:
        raise RuntimeError(child.exitcode)
