"""A FIFO is met by name."""
import os
import shutil
import tempfile

from outside import do_later_from_outside

folder = tempfile.mkdtemp()
fifo = os.path.join(folder, "fifo")
os.mkfifo(fifo)


def write():
    with open(fifo, "wb") as stream:
        stream.write(b"answer")


do_later_from_outside(6, write)
with open(fifo, "rb") as stream:
    stream.read()
shutil.rmtree(folder)
