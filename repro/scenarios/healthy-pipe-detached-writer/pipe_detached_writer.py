"""The other end of the pipe is out of the tree."""
import os

from outside import do_later_from_outside

reader, writer = os.pipe()
do_later_from_outside(6, lambda: os.write(writer, b"answer"))
os.close(writer)
os.read(reader, 100)
