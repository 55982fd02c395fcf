"""Two children that hold one lock each."""
import multiprocessing
import time

fork = multiprocessing.get_context("fork")


def cross(mine, other, both_hold_one):
    with mine:
        both_hold_one.wait()
        with other:
            pass


first, second, both_hold_one = fork.Lock(), fork.Lock(), fork.Barrier(2)
children = [
    fork.Process(target=cross, args=(first, second, both_hold_one)),
    fork.Process(target=cross, args=(second, first, both_hold_one)),
]
print(f"onset {time.monotonic()}", flush=True)
for child in children:
    child.start()
for child in children:
    child.join()
