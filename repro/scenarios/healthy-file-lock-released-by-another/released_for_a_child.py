"""An open file is shared over a fork, and the lock on it too."""
import fcntl
import os
import tempfile
import time


def cross(mine, path_of_other, tell, wait):
    fcntl.flock(mine, fcntl.LOCK_EX)
    os.write(tell, b"1")
    os.read(wait, 1)
    with open(path_of_other, "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        fcntl.flock(mine, fcntl.LOCK_UN)
    os._exit(0)


with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ("first", "second")]
    first = open(paths[0], "w")
    told, tell = os.pipe()
    wait, go = os.pipe()
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            mine = first if number == 0 else open(paths[1], "w")
            cross(mine, paths[1 - number], tell, wait)
        children.append(child)
    for _ in children:
        os.read(told, 1)
    os.write(go, b"22")
    time.sleep(4)
    fcntl.flock(first, fcntl.LOCK_UN)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise RuntimeError(status)
