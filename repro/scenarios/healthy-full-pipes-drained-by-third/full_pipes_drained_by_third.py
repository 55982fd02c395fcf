"""A pipe may have more readers than the two that talk over it."""
import os
import time

SIZE = 1 << 20


def drain(reader):
    left = SIZE
    while left:
        left -= len(os.read(reader, left))


from_parent, to_child = os.pipe()
from_child, to_parent = os.pipe()
third = os.fork()
if third == 0:
    time.sleep(6)
    drain(from_parent)
    drain(from_child)
    os._exit(0)
child = os.fork()
if child == 0:
    os.close(to_child)
    os.write(to_parent, bytes(SIZE))
    os._exit(0)
os.close(to_parent)
os.write(to_child, bytes(SIZE))
os.waitpid(child, 0)
os.waitpid(third, 0)
