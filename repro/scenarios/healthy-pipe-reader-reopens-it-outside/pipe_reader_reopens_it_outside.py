"""Who can read can open the pipe once more, to write."""
import os

from outside import do_later_from_outside

reader, writer = os.pipe()


def write():
    os.write(os.open("/proc/self/fd/%d" % reader, os.O_WRONLY), b"answer")


os.close(writer)
do_later_from_outside(6, write)
writer = os.open("/proc/self/fd/%d" % reader, os.O_WRONLY)
os.read(reader, 100)
